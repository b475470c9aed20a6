"""The tables after a test that has committed: those with rows are emptied, the others left alone.

Django empties each table, and has each app say again what permissions and types of content there
are: on PostgreSQL and MariaDB that takes longer than most tests.
"""

from __future__ import annotations

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

# Filled by migrations; no test writes to them.
KEPT = {"django_content_type", "auth_permission"}


def empty_all(case: TransactionTestCase) -> None:
    """Stands in for the end of Django's own test cases."""
    for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        empty(connections[alias])


def empty(connection: BaseDatabaseWrapper) -> None:
    with (
        connection.constraint_checks_disabled(),
        transaction.atomic(using=connection.alias),
        connection.cursor() as cursor,
    ):
        for name in with_rows(connection):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(name)}")


def with_rows(connection: BaseDatabaseWrapper) -> list[str]:
    """Name the tables that have rows, by one question to the database."""
    introspection = connection.introspection
    names = sorted(set(introspection.django_table_names(include_views=False)) - KEPT)
    asked = (f"EXISTS (SELECT 1 FROM {connection.ops.quote_name(name)})" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(asked)}")
        answers = cursor.fetchone()
    return [name for name, has_rows in zip(names, answers, strict=True) if has_rows]
