"""Where pages are, for who may open them: nobody is led to a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin


class Address(Protocol):
    """The list of a model with a query; empty for a user who may not see it."""

    def __call__(self, model: type[Model], **query: str) -> str: ...


def address(pages: ModelAdmin[Any], name: str, *args: object) -> str:
    """Return where one of these pages is: ``changelist``, ``change`` or one that they add."""
    # As "admin", whatever the site is called: `current_app` tells which of them is meant.
    name = f"admin:{pages.opts.app_label}_{pages.opts.model_name}_{name}"
    return reverse(name, args=args, current_app=pages.admin_site.name)


def page(pages: ModelAdmin[Any], row: Model) -> str:
    """Return where the page of a row is."""
    return address(pages, "change", quote(row.pk))


def may_see(site: AdminSite, request: HttpRequest, model: type[Model]) -> bool:
    """Tell whether a site has pages of a model, and the user may look at them."""
    if not site.is_registered(model):
        return False
    return bool(site.get_model_admin(model).has_view_permission(request))


def list_of(site: AdminSite, request: HttpRequest, model: type[Model], **query: Any) -> str:
    """Return where the list of a model is; empty for a user who may not see it."""
    if not may_see(site, request, model):
        return ""
    found = address(site.get_model_admin(model), "changelist")
    return f"{found}?{urlencode(query)}" if query else found


def page_of(site: AdminSite, request: HttpRequest, row: Model) -> str:
    """Return where the page of a row is; empty for a user who may not see it."""
    if not may_see(site, request, type(row)):
        return ""
    return page(site.get_model_admin(type(row)), row)


def address_of(name: str, *args: object, site: AdminSite | None = None) -> str:
    """Return where a page is; empty where these addresses have no such page."""
    try:
        return reverse(name, args=args, current_app=site.name if site else None)
    except NoReverseMatch:
        return ""
