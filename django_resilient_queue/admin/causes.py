"""Why a store does not do its work, in words: what its client said, as people say it."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

# What a store's client says, and what its server does; the first that fits.
_CAUSES = (
    (("loading", "busyloading"), lazy("loads its data")),
    (("readonly", "read-only", "read only"), lazy("takes no writes")),
    (("outofmemory", "oom"), lazy("is out of memory")),
    (("misconf",), lazy("can't save to its disk")),
    (("noauth", "wrongpass", "authentication"), lazy("refuses the password")),
    (("masterdown", "clusterdown"), lazy("has lost its master")),
    (("refused", "error 111"), lazy("refuses connections")),
    (("timeout", "timed out", "no answer"), lazy("does not answer")),
    (("name or service", "name resolution", "getaddrinfo"), lazy("is not found by its name")),
    (("connection", "closed", "reset", "broken pipe"), lazy("can't be reached")),
)


def what_it_does(cause: str) -> str:
    """Say what a store does that fails with this cause."""
    said = cause.lower()
    found = (words for marks, words in _CAUSES if any(mark in said for mark in marks))
    return str(next(found, _("is away")))
