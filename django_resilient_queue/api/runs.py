"""Recovery runs: many letters requeued at a chosen pace, by workers and never inside a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..models import RecoveryRun
from ..models.recovery_run import RecoveryRunQuerySet
from ..recovery.runs import cancel_run, pause_run, resume_run, start_run
from ..stores.database import DatabaseStore
from . import letter_forms as forms
from .forms import PageQuery
from .idempotency import once
from .letters import find
from .pagination import ByKey, page
from .problem import Problem
from .schema import LOCATION, described
from .scoping import scope
from .throttles import RECOVER
from .view import QueueView, checked, name_of


class RunsView(QueueView):
    """All runs, and the start of a new one."""

    verbs: ClassVar = {"GET": "view_recoveryrun", "POST": "add_recoveryrun"}
    throttle = RECOVER
    pagination_class = ByKey

    @described(
        {200: forms.RunDetail(many=True)},
        400,
        404,
        parameters=(PageQuery,),
        operation_id="list_runs",
    )
    def get(self, request: Request) -> Response:
        """List runs, the newest first."""
        with DatabaseStore().statement():
            return page(request, self, _runs(request), _lines)

    @described(
        {200: forms.RunDetail, 202: forms.RunDetail},
        request=forms.RunForm,
        once=True,
        parameters=(LOCATION,),
        example={
            "selection": {"category": "connection"},
            "reason": "The printer is back.",
            "rate": 5,
            "canary": 3,
        },
        operation_id="start_run",
    )
    def post(self, request: Request) -> Response:
        """Have workers requeue letters (202); with ``dry_run`` only say how many there are (200).

        A run is of all letters that its selection names, whatever the scope of its user is.
        """
        return once(request, lambda: self._start(request))

    def _start(self, request: Request) -> Response:
        order = checked(forms.RunForm, request)
        is_dry = order.get("dry_run", False)
        run = start_run(
            forms.selection_of(order.get("selection", {})),
            reason=order.get("reason", ""),
            by=name_of(request),
            rate=order.get("rate", 10.0),
            canary=order.get("canary", 0),
            dry_run=is_dry,
        )
        shown = _lines([run])[0]
        if is_dry:
            return Response(shown)
        return Response(shown, status=202, headers={"Location": f"{request.path}{run.pk}/"})


class RunView(QueueView):
    """One run."""

    verbs: ClassVar = {"GET": "view_recoveryrun"}

    @described({200: forms.RunDetail}, 404, operation_id="get_run")
    def get(self, request: Request, pk: int) -> Response:
        """Look at a run."""
        return Response(_lines([_find(request, pk)])[0])


class _ChangeView(QueueView):
    verbs: ClassVar = {"POST": "change_recoveryrun"}
    throttle = RECOVER

    def change(self, request: Request, pk: int, do: Callable[..., bool]) -> Response:
        """Change a run's status, or say why that can't be."""
        order = checked(forms.NoteForm, request)
        run = _find(request, pk)
        won = do(run) if do is resume_run else do(run, note=order.get("note", ""))
        if not won:
            raise Problem(409, "wrong_status", f"The run is {run.status}.")
        return Response(_lines([run])[0])


class PauseRunView(_ChangeView):
    """Pausing."""

    @described(
        {200: forms.RunDetail},
        404,
        409,
        request=forms.NoteForm,
        example={"note": "The printer is away again."},
        operation_id="pause_run",
    )
    def post(self, request: Request, pk: int) -> Response:
        """Requeue no more letters for now."""
        return self.change(request, pk, pause_run)


class ResumeRunView(_ChangeView):
    """Going on."""

    @described({200: forms.RunDetail}, 404, 409, request=forms.NoteForm, operation_id="resume_run")
    def post(self, request: Request, pk: int) -> Response:
        """Go on, whatever became of the canary."""
        return self.change(request, pk, resume_run)


class CancelRunView(_ChangeView):
    """Ending."""

    @described(
        {200: forms.RunDetail},
        404,
        409,
        request=forms.NoteForm,
        example={"note": "The rest is obsolete."},
        operation_id="cancel_run",
    )
    def post(self, request: Request, pk: int) -> Response:
        """End a run; what it has requeued stays requeued."""
        return self.change(request, pk, cancel_run)


def _runs(request: Request) -> RecoveryRunQuerySet:
    return scope().rows(request, RecoveryRun.objects.using(DatabaseStore().alias))


def _find(request: Request, pk: int) -> RecoveryRun:
    run: RecoveryRun = find(lambda: _runs(request).filter(pk=pk).first())
    return run


def _lines(found: list[RecoveryRun]) -> list[dict[str, Any]]:
    return [dict(line) for line in forms.RunDetail(found, many=True).data]
