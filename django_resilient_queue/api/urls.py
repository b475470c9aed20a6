"""``path("queue/api/", include("django_resilient_queue.api.urls"))``"""

from __future__ import annotations

import re

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from . import health, jobs, letters, outages, queues, runs, stored, workers


class Key(StringConverter):
    """A row's key. What can't be one is that of no row, so that our view says so: a problem, where
    Django would answer with a page."""

    def to_python(self, value: str) -> int:  # type: ignore[override]
        """Read a number no longer than the column, which some databases would refuse."""
        return int(value) if re.fullmatch("[0-9]{1,18}", value) else _OF_NO_ROW


_OF_NO_ROW = 0

register_converter(Key, "drq_key")

app_name = "django_resilient_queue_api"
urlpatterns = [
    path("jobs/", jobs.JobsView.as_view(), name="jobs"),
    path("jobs/batch/", jobs.BatchView.as_view(), name="jobs-batch"),
    path("jobs/<str:job_id>/", jobs.JobView.as_view(), name="job"),
    path("stats/", queues.StatsView.as_view(), name="stats"),
    path("pause/", queues.PauseView.as_view(), name="pause"),
    path("resume/", queues.ResumeView.as_view(), name="resume"),
    path("clean/completed/", queues.CleanCompletedView.as_view(), name="clean-completed"),
    path("clean/failed/", queues.CleanFailedView.as_view(), name="clean-failed"),
    path("health/", health.HealthView.as_view(), name="health"),
    path("dlq/", letters.LettersView.as_view(), name="letters"),
    path("dlq/stats/", letters.LetterStatsView.as_view(), name="letter-stats"),
    path("dlq/groups/", letters.LetterGroupsView.as_view(), name="letter-groups"),
    path("dlq/<drq_key:pk>/", letters.LetterView.as_view(), name="letter"),
    path("dlq/<drq_key:pk>/requeue/", letters.RequeueView.as_view(), name="letter-requeue"),
    path("dlq/<drq_key:pk>/payload/", letters.PayloadView.as_view(), name="letter-payload"),
    path("dlq/<drq_key:pk>/discard/", letters.DiscardView.as_view(), name="letter-discard"),
    path("recovery-runs/", runs.RunsView.as_view(), name="runs"),
    path("recovery-runs/<drq_key:pk>/", runs.RunView.as_view(), name="run"),
    path("recovery-runs/<drq_key:pk>/pause/", runs.PauseRunView.as_view(), name="run-pause"),
    path("recovery-runs/<drq_key:pk>/resume/", runs.ResumeRunView.as_view(), name="run-resume"),
    path("recovery-runs/<drq_key:pk>/cancel/", runs.CancelRunView.as_view(), name="run-cancel"),
    path("fallback/", stored.StoredJobsView.as_view(), name="stored-jobs"),
    path("fallback/drain/", stored.DrainView.as_view(), name="drain"),
    path("fallback/<str:job_id>/", stored.StoredJobView.as_view(), name="stored-job"),
    path("outages/", outages.OutagesView.as_view(), name="outages"),
    path("outages/<drq_key:pk>/", outages.OutageView.as_view(), name="outage"),
    path("workers/", workers.WorkersView.as_view(), name="workers"),
    path("workers/<str:name>/", workers.WorkerView.as_view(), name="worker"),
    path("workers/<str:name>/stop/", workers.StopWorkerView.as_view(), name="worker-stop"),
]
