"""``path("queue/api/", include("django_resilient_queue.api.urls"))``"""

from __future__ import annotations

from django.urls import path

from . import health, jobs, queues

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
]
