"""What commands with verbs have in common."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_resilient_queue.conf import settings
from django_resilient_queue.exceptions import StoreError
from django_resilient_queue.stores.guard import database_errors


class VerbCommand(BaseCommand):
    """Calls ``_VERB(options)``, which returns how much it could not do: then the exit code is 1."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        try:
            with database_errors(settings.DATABASE):
                failed = getattr(self, f"_{options['verb']}")(options)
        except StoreError as error:
            raise CommandError(f"the database is away: {error}") from error
        if failed:
            sys.exit(1)
