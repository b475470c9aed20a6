"""Dead letters: looking at them, and what an operator does with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import DeadLetter, FailedAttempt
from ..models.dead_letter import DeadLetterQuerySet
from ..recovery.correcting import filled_in
from ..recovery.requeueing import discard, requeue
from ..recovery.statistics import groups, statistics
from ..redaction import redact_patch
from ..stores.database import DatabaseStore
from . import letter_forms as forms
from .forms import PageQuery
from .idempotency import once
from .pagination import ByKey, page
from .permissions import has
from .problem import Problem
from .schema import described
from .scoping import scope
from .throttles import RECOVER
from .view import QueueView, asked, checked, name_of

_LARGE = ("payload", "traceback")
_MOST_CORRECTIONS = 100
_OF_CORRECTION = ("made_at", "made_by", "reason", "diff", "shown")


class LettersView(QueueView):
    """All letters."""

    verbs: ClassVar = {"GET": "view_deadletter"}
    pagination_class = ByKey

    @described(
        {200: forms.LetterLine(many=True)},
        400,
        404,
        parameters=(forms.LetterQuery, PageQuery),
        operation_id="list_letters",
    )
    def get(self, request: Request) -> Response:
        """List letters, the newest first."""
        query = asked(forms.LetterQuery, request)
        rows = forms.selection_of(query).among(letters(request)).defer(*_LARGE)
        if status := query.get("status"):
            rows = rows.filter(status=status)
        with DatabaseStore().statement():
            return page(request, self, rows, _lines)


class LetterStatsView(QueueView):
    """Letters in numbers, whatever the scope of the user is."""

    verbs: ClassVar = {"GET": "view_deadletter"}

    @described(
        {200: forms.LetterStats},
        400,
        parameters=(forms.LetterQuery,),
        operation_id="count_letters",
    )
    def get(self, request: Request) -> Response:
        """Count letters by handler, category, error and age."""
        with DatabaseStore().statement():
            return Response(statistics(forms.selection_of(asked(forms.LetterQuery, request))))


class LetterGroupsView(QueueView):
    """Letters of the same error as one, whatever the scope of the user is."""

    verbs: ClassVar = {"GET": "view_deadletter"}

    @described(
        {200: forms.Groups}, 400, parameters=(forms.LetterQuery,), operation_id="group_letters"
    )
    def get(self, request: Request) -> Response:
        """Name the most frequent errors of letters that wait for somebody."""
        with DatabaseStore().statement():
            found = groups(forms.selection_of(asked(forms.LetterQuery, request)))
        return Response({"groups": found})


class LetterView(QueueView):
    """One letter."""

    verbs: ClassVar = {"GET": "view_deadletter"}

    @described({200: forms.LetterDetail}, 404, operation_id="get_letter")
    def get(self, request: Request, pk: int) -> Response:
        """Show a letter with its attempts, payload and corrections."""
        letter = find_letter(request, pk)
        reveals = has(request, "view_sensitive_payload")
        with DatabaseStore().statement():
            names = ("number", "started_at", "ended_at", "worker_name", "error_class", "message")
            history = list(cast("QuerySet[FailedAttempt]", letter.history).values(*names))
            corrections = letter.corrections.values(*_OF_CORRECTION)[:_MOST_CORRECTIONS]
            changes = [dict(each) for each in corrections]
        keys = letter.redact_keys
        for each in changes:
            shown = redact_patch(each.pop("shown"), keys)
            each["diff"] = each["diff"] if reveals else shown
        return Response(
            {
                **forms.LetterLine(letter).data,
                "traceback": letter.traceback,
                "worker_name": letter.worker_name,
                "payload": letter.revealed if reveals else letter.readable,
                "history": history,
                "corrections": changes,
            }
        )


class RequeueView(QueueView):
    """Having a letter's job run again."""

    verbs: ClassVar = {"POST": "requeue_deadletter"}
    throttle = RECOVER

    @described(
        {201: forms.Requeued},
        404,
        request=forms.RequeueForm,
        once=True,
        example={"reason": "The printer is back."},
        operation_id="requeue_letter",
    )
    def post(self, request: Request, pk: int) -> Response:
        """Have the job run again as it was, under a new id."""
        return once(request, lambda: self._requeue(request, pk))

    def _requeue(self, request: Request, pk: int) -> Response:
        order = checked(forms.RequeueForm, request)
        letter = find_letter(request, pk)
        return Response({"job_id": _requeued(letter, request, order)}, status=201)


class PayloadView(QueueView):
    """Correcting what a letter's job was to be done with."""

    verbs: ClassVar = {"POST": "correct_deadletter"}
    throttle = RECOVER

    @described(
        {201: forms.Corrected},
        404,
        request=forms.PayloadForm,
        once=True,
        example={"kwargs": {"to": "ann@example.com"}, "reason": "A typing error."},
        operation_id="correct_letter",
    )
    def post(self, request: Request, pk: int) -> Response:
        """Have the job run again with another payload, which its type's schema has to accept."""
        return once(request, lambda: self._correct(request, pk))

    def _correct(self, request: Request, pk: int) -> Response:
        order = checked(forms.PayloadForm, request)
        letter = find_letter(request, pk)
        reveals, written = has(request, "view_sensitive_payload"), order["kwargs"]
        order |= {"kwargs": _filled_in(letter, written), "written": None if reveals else written}
        job_id = _requeued(letter, request, order)
        with DatabaseStore().statement():
            last = letter.corrections.order_by("-pk").values("diff", "shown")[:1].get()
        diff = last["diff"] if reveals else redact_patch(last["shown"], letter.redact_keys)
        return Response({"job_id": job_id, "diff": diff}, status=201)


class DiscardView(QueueView):
    """Putting a letter away."""

    verbs: ClassVar = {"POST": "discard_deadletter"}
    throttle = RECOVER

    @described(
        {200: forms.Discarded},
        404,
        409,
        request=forms.Because,
        example={"reason": "The order was cancelled."},
        operation_id="discard_letter",
    )
    def post(self, request: Request, pk: int) -> Response:
        """Put a letter away: nobody needs its job."""
        order = checked(forms.Because, request)
        letter = find_letter(request, pk)
        discard(letter, by=name_of(request), reason=order.get("reason", ""))
        return Response({"status": "discarded"})


def letters(request: Request) -> DeadLetterQuerySet:
    """Return those that the user may see."""
    return scope().rows(request, DatabaseStore().letters)


def find_letter(request: Request, pk: int) -> DeadLetter:
    """Return one of them. Raises Http404."""
    letter: DeadLetter = find(lambda: letters(request).filter(pk=pk).first())
    return letter


def find(look: Callable[[], Any]) -> Any:
    """Return what a look into the database finds. Raises Http404, StoreError."""
    with DatabaseStore().statement():
        found = look()
    if found is None:
        raise Http404
    return found


def _requeued(letter: DeadLetter, request: Request, order: dict[str, Any]) -> str:
    try:
        return requeue(
            letter,
            by=name_of(request),
            reason=order.get("reason", ""),
            kwargs=order.get("kwargs"),
            written=order.get("written"),
            keep_attempts=order.get("keep_attempts", False),
            queue_name=order.get("queue"),
        )
    except ValueError as error:
        raise Problem(400, "invalid", str(error)) from error


def _lines(found: list[DeadLetter]) -> list[dict[str, Any]]:
    return [dict(line) for line in forms.LetterLine(found, many=True).data]


def _filled_in(letter: DeadLetter, written: dict[str, Any]) -> dict[str, Any]:
    try:
        return filled_in(letter, written)
    except ValueError as error:
        raise Problem(400, "invalid", str(error)) from error
