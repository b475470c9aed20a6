"""Indexes of the rows in one state."""

from __future__ import annotations

from typing import Any

from django.db import models


class StateIndex(models.Index):
    """A partial index; where a database has none (MariaDB), the state comes before the columns.

    Left out there, as Django does by itself, a claim would walk over every row of its queue that
    is older, whatever its state.
    """

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        """Return the statement for the schema editor's database."""
        index: models.Index = self
        if not schema_editor.connection.features.supports_partial_indexes:
            index = models.Index(fields=("state", *self.fields), name=self.name)
        return models.Index.create_sql(index, model, schema_editor, using, **kwargs)
