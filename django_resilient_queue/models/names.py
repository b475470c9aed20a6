"""Columns of names that machines compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    NameField = models.CharField  # whose types its stubs know
else:

    class NameField(models.CharField):
        """Text that is equal to itself alone, as other databases have it. MariaDB and MySQL take
        ``Ann`` for ``ann`` by default, and one job for another."""

        def db_parameters(self, connection: Any) -> dict[str, Any]:
            """Have MariaDB and MySQL compare by code points."""
            parameters = super().db_parameters(connection)
            if connection.vendor == "mysql":
                parameters["collation"] = "utf8mb4_bin"
            return parameters
