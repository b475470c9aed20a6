"""The download of an exported file."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from ....models import Export
from . import links
from .datasets import datasets
from .formats import FORMATS, ZIP
from .permits import find_user, may_export


@require_safe
def download(request: HttpRequest, link: str) -> HttpResponseBase:
    """Stream a file to the user that it was made for, if they may still have it."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    export = links.find(link)
    # To anybody else it is not there.
    if export is None or export.user_key != str(request.user.pk) or not export.is_downloadable:
        raise Http404
    if not _may_have(request.user, export):
        raise PermissionDenied
    try:
        file = storages[export.storage].open(export.path)
    except FileNotFoundError:
        raise Http404 from None
    kind = ZIP if export.subject_key else FORMATS[export.file_format]
    response = FileResponse(
        file, as_attachment=True, filename=export.file_name, content_type=kind.content_type
    )
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _may_have(user: object, export: Export) -> bool:
    chosen = [datasets.find(name) for name in export.datasets]
    subject = find_user(export.subject_key) if export.subject_key else None
    if export.subject_key and subject is None:
        return False
    known = [dataset for dataset in chosen if dataset is not None]
    return len(known) == len(chosen) and may_export(user, known, subject)
