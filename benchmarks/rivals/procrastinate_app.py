"""Procrastinate on PostgreSQL."""

from __future__ import annotations

import os

import procrastinate

from rivals import work

DATABASE = {
    "host": os.environ["DRQ_TEST_DB_HOST"],
    "port": os.environ["DRQ_TEST_DB_PORT"],
    "dbname": os.environ["DRQ_TEST_DB_NAME"],
    "user": os.environ.get("DRQ_TEST_DB_USER", "drq"),
}
app = procrastinate.App(connector=procrastinate.PsycopgConnector(kwargs=DATABASE))
nothing = app.task(name="nothing")(work.nothing)
mark = app.task(name="mark")(work.mark)


def fill(count: int) -> None:
    connector = procrastinate.SyncPsycopgConnector(kwargs=DATABASE)
    with app.replace_connector(connector), app.open():
        if not app.check_connection():
            app.schema_manager.apply_schema()
        mark.defer()
        nothing.batch_defer(*({} for _ in range(count)))
        for _ in range(2):
            mark.defer()
