"""Where pages are, for who may open them: nobody is led to a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite


def may_see(site: AdminSite, request: HttpRequest, model: type[Model]) -> bool:
    """Tell whether a site has pages of a model, and the user may look at them."""
    if not site.is_registered(model):
        return False
    return bool(site.get_model_admin(model).has_view_permission(request))


def list_of(site: AdminSite, request: HttpRequest, model: type[Model], **query: Any) -> str:
    """Return where the list of a model is; empty for a user who may not see it."""
    if not may_see(site, request, model):
        return ""
    address = reverse(f"{_start(site, model)}_changelist", current_app=site.name)
    return f"{address}?{urlencode(query)}" if query else address


def page_of(site: AdminSite, request: HttpRequest, row: Model) -> str:
    """Return where the page of a row is; empty for a user who may not see it."""
    if not may_see(site, request, type(row)):
        return ""
    name = f"{_start(site, type(row))}_change"
    return reverse(name, args=(quote(row.pk),), current_app=site.name)


def address_of(name: str, *args: object) -> str:
    """Return where a page is; empty where these addresses have no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def _start(site: AdminSite, model: type[Model]) -> str:
    # As "admin", whatever the site is called: `current_app` tells which of them is meant.
    return f"admin:{model._meta.app_label}_{model._meta.model_name}"
