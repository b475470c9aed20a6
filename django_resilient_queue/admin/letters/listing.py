"""The list of letters: as quick with a million as with ten. It counts no further than it pages."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from django_resilient_queue.admin.amounts import at_least
from django_resilient_queue.admin.row_list import RowList
from django_resilient_queue.recovery.facets import Facets
from django_resilient_queue.recovery.narrowing import narrowed
from django_resilient_queue.recovery.searching import Found, search
from django_resilient_queue.recovery.selection import Selection

from .choosing import MOST_IDS, of_filters, until
from .filters import AgeFilter, GroupFilter, KindFilter
from .seen import Seen, is_narrowed

WORDS = 120  # characters of a message


class LetterList(RowList):
    """What a page of the list is made of."""

    found: Found | None
    """What a search has found; None without one."""

    @cached_property
    def tally(self) -> Facets:
        """How many letters there are of each kind, whoever may see them: by this they are found."""
        return Facets()

    @cached_property
    def facets(self) -> Facets:
        """How many there are of each kind that the user may see: this is shown."""
        return Seen(self.root_queryset) if self.is_narrowed else self.tally

    @cached_property
    def is_narrowed(self) -> bool:
        """Tell whether the user may see only a part of them."""
        return is_narrowed(self.root_queryset)

    @property
    def kinds(self) -> dict[str, str]:
        """What the list is narrowed to, by columns."""
        specs = [spec for spec in self.filter_specs if isinstance(spec, KindFilter)]
        return {spec.column: value for spec in specs if (value := spec.value()) is not None}

    @property
    def age(self) -> str:
        """The age that it is narrowed to, or an empty string."""
        return self._value_of(AgeFilter)

    @property
    def fingerprint(self) -> str:
        """The group of errors that it is narrowed to, or an empty string."""
        return self._value_of(GroupFilter)

    @property
    def is_of_kinds(self) -> bool:
        """Tell whether the list is narrowed by nothing else than kinds of letters."""
        return not (self.query or self.age or self.fingerprint or self._other_filters)

    @property
    def is_beyond_tally(self) -> bool:
        """Tell whether the list is narrowed by what the tally of letters does not know."""
        return self.is_narrowed or not self.is_of_kinds

    @property
    def total(self) -> str:
        """How many letters there are, as far as it is known, in words."""
        if not self.is_cut:
            return str(self.result_count)
        if self.is_beyond_tally:
            return _("%(most)d or more") % {"most": self.result_count}
        return str(max(self.facets.total(self.kinds), self.result_count))

    @property
    def is_cut(self) -> bool:
        """Tell whether there are more letters than pages."""
        return bool(self.paginator.is_cut)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Narrow it down, search in what is left, and take no more of a message than is shown."""
        letters: Any = super().get_queryset(request, exclude_parameters)
        letters = narrowed(letters, self.kinds, self.tally)
        self.found = search(letters, self.query, self.tally) if self.query else None
        if self.found:
            letters = self.found.letters
        shown: QuerySet[Any] = letters.defer("payload", "message", "traceback").annotate(
            words=Left("message", WORDS)
        )
        return shown

    def get_results(self, request: HttpRequest) -> None:
        """Have the tally count where it can: even a few thousand letters are slow to count by two
        columns, as each is read from the table."""
        if not self.is_beyond_tally:
            self.queryset.known_count = self.facets.total(self.kinds)
        super().get_results(request)
        if not self.multi_page or (self.show_all and self.can_show_all):
            # A tally that is wrong until it is put right must not have a whole table shown.
            self.result_list = list(self.result_list[: self.list_max_show_all])
            self.result_count = len(self.result_list)

    def shown(self, count: int, status: str) -> int | str | None:
        """Return what a filter says of a choice, of one status or of all; None where that is not
        known of this list."""
        if not self.is_of_kinds:
            return None
        return at_least(count, is_capped=True) if self.facets.is_cut(status) else count

    def selection(self) -> Selection:
        """Return what makes up the list, its status aside. Raises ValueError, with words for the
        user, where it can't be told in few of them."""
        if self._other_filters:
            raise ValueError(_("These filters can't be applied to all letters at once."))
        now = timezone.now()
        if self.found is None:
            given = {**self.kinds, "fingerprint": self.fingerprint}
            given.pop("status", None)
            return until(of_filters(given, self.age, now), now)
        ids = tuple(self.found.letters.values_list("pk", flat=True)[: MOST_IDS + 1])
        if len(ids) > MOST_IDS:
            raise ValueError(
                _("A search can choose at most %(most)d letters: narrow the list by its filters.")
                % {"most": MOST_IDS}
            )
        if not ids:
            raise ValueError(_("The search has found no letters."))
        return Selection(ids=ids)

    def _value_of(self, kind: type[Any]) -> str:
        specs: Any = (spec for spec in self.filter_specs if type(spec) is kind)
        return next((spec.value() or "" for spec in specs), "")

    @property
    def _other_filters(self) -> set[str]:
        known = {name for spec in self.filter_specs for name in spec.expected_parameters()}
        return set(self.get_filters_params()) - known
