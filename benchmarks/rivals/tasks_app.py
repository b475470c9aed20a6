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
    mark.enqueue()
    for _ in range(count):
        nothing.enqueue()
    for _ in range(2):
        mark.enqueue()
