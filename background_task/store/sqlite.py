"""SQLite: one writer at a time, so few and short writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connections, transaction
from django.db.models import DateTimeField, F, Field, TextField
from django.db.models.expressions import Col
from django.db.models.functions import Cast

from ..attempt import Claim
from ..models import Task, TaskQuerySet
from ..uniqueness import KEPT
from .group import ONCE, GroupStore, Proof, Results, grouped, in_sql, proof, results_of
from .result import CLAIM_FIELDS, Candidate, Finish, chosen
from .wanted import NO_BACKENDS, Wanted

CLAIM = """
UPDATE {table} SET locked_by = %s, locked_at = %s, claim_number = COALESCE(claim_number, 0) + 1,
    started_at = COALESCE(started_at, %s),
    unique_key = CASE WHEN limit_key IS NOT NULL OR instr(options, %s) > 0 THEN unique_key END,
    uid = COALESCE(uid, lower(hex(randomblob(16))))
WHERE id IN ({keys}) AND locked_by IS NULL AND failed_at IS NULL AND run_at <= %s{queues}{fresh}
RETURNING {columns}
"""

#: What has to be known of a row to choose it, beside its time.
CANDIDATE_FIELDS = (
    *("pk", "priority", "attempts"),
    *("task_name", "backend", "options", "limit_key"),
)

HELD = "id IN ({keys}) AND claim_number = {number:d} AND locked_by = %s"


class SQLiteStore(GroupStore):
    """A store for SQLite 3.35 or later."""

    def claim(
        self,
        owner: str,
        names: Collection[str],
        *,
        backends: Mapping[str, bool] = NO_BACKENDS,
        queues: Collection[str] = (),
        limit: int = 1,
        ahead: int = 0,
        fragile: Collection[str] = (),
        now: datetime | None = None,
    ) -> list[Claim]:
        """Look without a lock, then mark what is still as it was with one statement.

        An idle worker only looks: it keeps no writer waiting.
        """
        now = self.now() if now is None else now
        found = self._candidates(
            Wanted(names, backends), queues=queues, limit=limit + ahead, now=now
        )
        keys = [row.pk for row in chosen(found, limit=limit, fragile=fragile, backends=backends)]
        if not keys:
            return []
        moment = self._moment(now)
        # The plus keeps SQLite from entering by the queue: the rows are found by their keys.
        wanted = f" AND +queue IN ({', '.join(['%s'] * len(queues))})" if queues else ""
        # What is claimed ahead may have been run and have lost an attempt since it was read.
        fresh = f" AND (attempts = 0 OR id IN ({in_sql(keys[:limit])}))" if keys[limit:] else ""
        statement = CLAIM.format(
            table=self.table, keys=in_sql(keys), queues=wanted, fresh=fresh, columns=self._columns
        )
        with connections[self.using].cursor() as cursor:
            cursor.execute(statement, [owner, moment, moment, KEPT, moment, *queues])
            rows = {row[0]: row for row in cursor.fetchall()}
        return self._as_claims([rows[key] for key in keys if key in rows], owner)

    def begin_writing(self, claim: Claim) -> bool:
        """Become the writer at once: whoever has read before can no longer wait for another."""
        return bool(self._held(claim).update(attempts=F("attempts")))

    def _read(self, rows: TaskQuerySet) -> list[Candidate]:
        # It is only sorted by, which its text does as well: no time is made of it.
        found = rows.values_list(*CANDIDATE_FIELDS, Cast("run_at", TextField()))
        names = (*CANDIDATE_FIELDS, "run_at")
        return [Candidate(dict(zip(names, row, strict=True))) for row in found]

    def _archive_many(
        self, claims: Collection[Claim], results: Results, *, now: datetime | None
    ) -> dict[Proof, Finish]:
        """Copy and delete what does not repeat; the rest needs another look."""
        now = self.now() if now is None else now
        groups, done = grouped(claims), dict[Proof, Finish]()
        with transaction.atomic(using=self.using), connections[self.using].cursor() as cursor:
            for owner, number, keys in groups:
                held = f"{HELD.format(keys=in_sql(keys), number=number)} AND {ONCE}"
                copying, texts = self._copying_with(results_of((owner, number, keys), results))
                # A write comes first: a transaction that began by reading cannot wait for a writer.
                cursor.execute(
                    f"{copying} FROM {self.table} WHERE {held}",
                    [self._moment(now), *texts, owner],
                )
                cursor.execute(f"DELETE FROM {self.table} WHERE {held} RETURNING id", [owner])
                done |= {(owner, number, key): Finish() for (key,) in cursor.fetchall()}
        rest = grouped(claim for claim in claims if proof(claim) not in done)
        return done | self._archive_locked(rest, results, now=now) if rest else done

    @cached_property
    def _columns(self) -> str:
        return ", ".join(str(column.target.column) for column in columns())

    @cached_property
    def _converters(self) -> list[tuple[int, Any, Col, bool]]:
        """What Django does to the columns that SQLite keeps as text.

        Place, function, column, and whether many rows have the same there.
        """
        connection = connections[self.using]
        return [
            (place, convert, column, isinstance(column.target, DateTimeField))
            for place, column in enumerate(columns())
            for convert in (
                *connection.ops.get_db_converters(column),
                *column.get_db_converters(connection),
            )
        ]

    def _as_claims(self, rows: Iterable[tuple[Any, ...]], owner: str) -> list[Claim]:
        connection = connections[self.using]
        claims = []
        # All rows have the same time of the claim, and often the same time to be run at.
        moments: dict[Any, Any] = {}
        for row in rows:
            values = list(row)
            for place, convert, column, is_moment in self._converters:
                value = values[place]
                if value is None:
                    continue
                if is_moment and value in moments:
                    values[place] = moments[value]
                    continue
                try:
                    values[place] = convert(value, column, connection)
                except ValueError:  # SQLite takes any text for a time
                    values[place] = None
                if is_moment:
                    moments[value] = values[place]
            claims.append(Claim(values[0], values[1], owner, *values[2:]))
        return claims


def columns() -> list[Col]:
    """Return the columns of a claim."""
    fields = [Task._meta.get_field("id" if name == "pk" else name) for name in CLAIM_FIELDS]
    return [Col(Task._meta.db_table, field) for field in fields if isinstance(field, Field)]
