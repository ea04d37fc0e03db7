"""A constraint that costs nothing for rows that it is not about."""

from __future__ import annotations

from typing import Any

from django.db import models


class UniqueUnlessNull(models.UniqueConstraint):
    """A unique constraint with a condition that leaves out the rows without a value.

    Rows without a value never clash, so the condition only keeps them out of the index. Django
    makes no constraint with a condition where there are no partial indexes (MySQL, MariaDB); this
    one is made there, too, and the index has all rows.
    """

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the part of ``CREATE TABLE``, if it is made there."""
        return models.UniqueConstraint.constraint_sql(self._on(schema_editor), model, schema_editor)

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the statement that makes it."""
        return models.UniqueConstraint.create_sql(self._on(schema_editor), model, schema_editor)

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the statement that removes it."""
        return models.UniqueConstraint.remove_sql(self._on(schema_editor), model, schema_editor)

    def _on(self, schema_editor: Any) -> models.UniqueConstraint:
        """Return what this database can build."""
        if schema_editor.connection.features.supports_partial_indexes:
            return self
        return models.UniqueConstraint(fields=self.fields, name=self.name)
