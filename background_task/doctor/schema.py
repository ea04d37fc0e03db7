"""Tables and indexes: what the models say and what the database has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections, models
from django.db.migrations.executor import MigrationExecutor

from ..models import CompletedTask, Task, Worker
from ..store.server import Server
from .finding import Finding

MODELS: tuple[type[models.Model], ...] = (Task, CompletedTask, Worker)


@dataclass(frozen=True)
class Expected:
    """An index that a model declares.

    Attributes:
        name: Its name; empty where Django chooses one.
        columns: What it is of.
        is_unique: Whether it keeps values unique.
        statement: What makes it.
    """

    name: str
    columns: tuple[str, ...]
    is_unique: bool
    statement: str


def examine_migrations(using: str) -> Iterator[Finding]:
    """Find migrations of this app that are not applied."""
    executor = MigrationExecutor(connections[using])
    leaves = executor.loader.graph.leaf_nodes("background_task")
    plan = executor.migration_plan(leaves)
    missing = [migration.name for migration, _ in plan if migration.app_label == "background_task"]
    if missing:
        yield Finding(
            "migrations-missing",
            f"Migrations are not applied: {', '.join(missing)}.",
            "The tables are missing or old; workers wait, and calls of tasks fail.",
            f"python manage.py migrate background_task --database {using}",
        )


def examine_indexes(using: str) -> Iterator[Finding]:
    """Find indexes that are not there, or not used."""
    server = Server(using)
    for model in MODELS:
        table = model._meta.db_table
        with connections[using].cursor() as cursor:
            found = connections[using].introspection.get_constraints(cursor, table)
        for index in expected_indexes(model, using):
            if not _is_among(index, found):
                yield Finding(
                    "index-missing",
                    f"The table {table} has no index {index.name}({', '.join(index.columns)}).",
                    "Somebody dropped it. Queries read the whole table where they would read a few "
                    "rows, and a unique one keeps doubles out.",
                    f"{index.statement};",
                )
        for name in server.unusable_indexes(table):
            yield Finding(
                "index-invalid",
                f"The index {name} of the table {table} is there, but the database does not use "
                "it.",
                "It was not completed (CREATE INDEX CONCURRENTLY failed), or was switched off. It "
                "costs at each write, and helps no query.",
                _revival(name, table, using),
            )


def expected_indexes(model: type[models.Model], using: str) -> Iterator[Expected]:
    """Yield the indexes of a model, with the statements that make them."""
    connection: Any = connections[using]
    # Never entered: it only words the statements. PostgreSQL can build beside the site's writes.
    editor = connection.schema_editor(collect_sql=True)
    beside = {"concurrently": True} if connection.vendor == "postgresql" else {}
    for index in model._meta.indexes:
        columns = tuple(_columns(model, [name for name, _ in index.fields_orders]))
        statement = str(index.create_sql(model, editor, **beside))
        yield Expected(str(index.name), columns, False, statement)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            columns = tuple(_columns(model, constraint.fields))
            statement = str(constraint.create_sql(model, editor))
            yield Expected(constraint.name, columns, True, statement)
    fields: Any = model._meta.local_concrete_fields
    for field in fields:
        if field.unique and not field.primary_key:
            name = f"{model._meta.db_table}_{field.column}_key"
            unique = models.UniqueConstraint(fields=[field.name], name=name)
            statement = str(unique.create_sql(model, editor))
            yield Expected("", (field.column,), True, statement)
        elif field.db_index and not field.primary_key:
            statement = str(editor._create_index_sql(model, fields=[field], **beside))
            yield Expected("", (field.column,), False, statement)


def _columns(model: type[models.Model], names: Any) -> Iterator[str]:
    return (str(model._meta.get_field(name).column) for name in names)  # type: ignore[union-attr]


def _is_among(index: Expected, found: dict[str, Any]) -> bool:
    """Tell whether the database has it: by its name, or the same under another one."""
    return any(
        list(index.columns) == facts["columns"] and (facts["unique"] or not index.is_unique)
        for facts in found.values()
        if facts["index"] or facts["unique"]
    )


def _revival(name: str, table: str, using: str) -> str:
    quote = connections[using].ops.quote_name
    if connections[using].vendor == "postgresql":
        return f"REINDEX INDEX CONCURRENTLY {quote(name)};"
    return (
        f"ALTER TABLE {quote(table)} ALTER INDEX {quote(name)} NOT IGNORED; "
        "(MySQL: VISIBLE instead of NOT IGNORED)"
    )
