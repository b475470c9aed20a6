"""MariaDB is the one server that no package carries: its test is there where its program is."""

from __future__ import annotations

from example_project.servers import ServerError
from example_project.servers.mariadb import mariadb_binary

collect_ignore: list[str] = []
try:
    mariadb_binary()
except ServerError:
    collect_ignore.append("test_mariadb.py")
