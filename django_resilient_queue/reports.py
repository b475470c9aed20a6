"""What Django's reports of a server error say of our pages and calls: nothing that is masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

View = Callable[..., HttpResponseBase]


def kept_out_of_reports(view: View) -> View:
    """Return a view of whose variables and form a report, which is mailed to the admins, has names
    alone: they hold whole jobs. With DEBUG it tells all."""
    discreet: Any = sensitive_variables()(view)
    found: View = sensitive_post_parameters()(discreet)
    return found
