"""django.tasks with django-tasks-db; for the settings beside this file."""

from __future__ import annotations

import django
from django.apps import apps
from django_tasks import task

from rivals import work

if not apps.ready:
    django.setup()


@task
def nothing() -> None:
    work.nothing()


@task
def mark() -> None:
    work.mark()


def fill(count: int) -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    work.enqueue_between_marks(mark.enqueue, nothing.enqueue, count)
