"""PostgreSQL: a claim is one statement, and so is a group of finishes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connections

from ..attempt import Claim
from ..models import Pause
from ..uniqueness import KEPT
from .group import ONCE, Proof, Results, grouped, proof, results_of
from .levels import WAITING
from .pause import NOTHING
from .result import CLAIM_FIELDS, ONLY_ATTEMPT, Finish
from .skip_locked import SkipLockedStore
from .wanted import NO_BACKENDS, Wanted

#: The levels of priority are found one by one, and only as many as are needed to fill the limit.
#: The keys come as an array, so that the rows are found by their keys however large the table
#: seems to be to the planner.
CLAIM = """
WITH RECURSIVE lvl(priority) AS (
    (SELECT priority FROM {table} WHERE {waiting}{guard} ORDER BY priority {order} LIMIT 1)
    UNION ALL
    SELECT (SELECT t.priority FROM {table} t
            WHERE {waiting} AND t.priority {beyond} lvl.priority
            ORDER BY t.priority {order} LIMIT 1)
    FROM lvl WHERE lvl.priority IS NOT NULL
), due AS (
    SELECT rows_.id, rows_.may_wait, row_number() OVER () AS place
    FROM lvl CROSS JOIN LATERAL (
        SELECT t.id, t.attempts = 0 AND NOT t.task_name = ANY(%(fragile)s)
            AND t.limit_key IS NULL AND (t.backend IS NULL OR t.backend = ANY(%(patient)s))
            AND (t.options IS NULL OR strpos(t.options, %(only)s) = 0) AS may_wait
        FROM {table} t
        WHERE {waiting} AND t.priority = lvl.priority AND t.run_at <= {now}
            AND (t.backend IS NULL AND t.task_name = ANY(%(names)s){queued})
        ORDER BY t.run_at, t.id LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ) AS rows_ LIMIT %(most)s
)
UPDATE {table} SET locked_by = %(owner)s, locked_at = {now},
    claim_number = COALESCE(claim_number, 0) + 1, started_at = COALESCE(started_at, {now}),
    unique_key = CASE WHEN limit_key IS NOT NULL OR strpos(options, %(kept)s) > 0
        THEN unique_key END,
    uid = COALESCE(uid, gen_random_uuid())
WHERE id = ANY(ARRAY(SELECT id FROM due WHERE place <= %(limit)s OR may_wait))
RETURNING {columns}
"""

#: Rows of backends; without any, the condition is as simple as it can be.
QUEUED = " OR t.backend = ANY(%(backends)s) AND NOT t.task_name = ANY(%(paused)s)"

#: The usual claim pays next to nothing for what is rare: if anything is paused, it finds no row.
GUARD = " AND NOT EXISTS (SELECT 1 FROM {pauses})"

FINISH = """
WITH gone AS (
    DELETE FROM {table}
    WHERE id = ANY(%s) AND claim_number = %s AND locked_by = %s AND {once}
    RETURNING *
), kept AS ({copying} FROM gone{results})
SELECT id FROM gone
"""

RESULTS = " LEFT JOIN unnest(%s::bigint[], %s::text[]) AS given (given_key, given_text)"
RESULTS += " ON given_key = id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a claim was asked for; see ``Store.claim``."""

    owner: str
    wanted: Wanted
    limit: int
    ahead: int
    fragile: Collection[str]
    now: datetime | None


class PostgreSQLStore(SkipLockedStore):
    """A store for PostgreSQL."""

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
        """Lock, mark and read the rows with one statement, unless something is paused."""
        if now is None and self.in_transaction():
            now = self.now()
        # Else each has an index range of its own; excluded ones are never looked into.
        if len(queues) < 2 and not self.excluded:
            given = Given(
                owner=owner,
                wanted=Wanted(names, backends),
                limit=limit,
                ahead=ahead,
                fragile=fragile,
                now=now,
            )
            if claims := self._claim_at_once(given, queues, is_guarded=True):
                return claims
            paused = self.pauses.read()
            if paused == NOTHING or not paused.queues.isdisjoint(queues):
                return []
            if queues or not paused.queues:
                given = replace(given, wanted=given.wanted.without(paused.functions))
                return self._claim_at_once(given, queues, is_guarded=False)
        return super().claim(
            owner,
            names,
            backends=backends,
            queues=queues,
            limit=limit,
            ahead=ahead,
            fragile=fragile,
            now=now,
        )

    def _claim_at_once(
        self, given: Given, queues: Collection[str], *, is_guarded: bool
    ) -> list[Claim]:
        """Claim from one queue, or from all.

        Args:
            given: What ``claim`` was given.
            queues: One queue; none means all.
            is_guarded: Whether to take nothing if anything is paused.
        """
        params: dict[str, Any] = {
            "owner": given.owner,
            "names": list(given.wanted.names),
            "patient": [alias for alias, may_wait in given.wanted.backends.items() if may_wait],
            "fragile": list(given.fragile),
            "only": ONLY_ATTEMPT,
            "kept": KEPT,
            "limit": given.limit,
            "most": given.limit + given.ahead,
        }
        if given.wanted.backends:
            params["backends"] = list(given.wanted.backends)
            params["paused"] = list(given.wanted.paused)
        waiting = WAITING
        for queue in queues:
            waiting, params["queue"] = f"queue = %(queue)s AND {waiting}", queue
        if given.now is not None:
            params["now"] = self._moment(given.now)
        pauses = connections[self.using].ops.quote_name(Pause._meta.db_table)
        statement = CLAIM.format(
            table=self.table,
            waiting=waiting,
            queued=QUEUED if given.wanted.backends else "",
            guard=GUARD.format(pauses=pauses) if is_guarded else "",
            order="DESC" if self.order else "ASC",
            beyond="<" if self.order else ">",
            now="statement_timestamp()" if given.now is None else "%(now)s::timestamptz",
            columns=", ".join("id" if name == "pk" else name for name in CLAIM_FIELDS),
        )
        with connections[self.using].cursor() as cursor:
            cursor.execute(statement, params)
            claims = [Claim(row[0], row[1], given.owner, *row[2:]) for row in cursor.fetchall()]
        sign = -1 if self.order else 1
        claims.sort(key=lambda claim: (sign * claim.priority, claim.run_at, claim.task_id))
        return claims

    def _archive_many(
        self, claims: Collection[Claim], results: Results, *, now: datetime | None
    ) -> dict[Proof, Finish]:
        """Move what does not repeat with one statement; the rest needs a look at its rows."""
        done: dict[Proof, Finish] = {}
        copying = self._copying("given_text") if results else self.copying
        copying = copying if now is not None else copying.replace("%s", "now()")
        times = [] if now is None else [self._moment(now)]
        statement = FINISH.format(
            table=self.table, copying=copying, once=ONCE, results=RESULTS if results else ""
        )
        with connections[self.using].cursor() as cursor:
            for owner, number, keys in grouped(claims):
                given = results_of((owner, number, keys), results)
                texts: list[Any] = [list(given), list(given.values())] if results else []
                cursor.execute(statement, [keys, number, owner, *times, *texts])
                done |= {(owner, number, key): Finish() for (key,) in cursor.fetchall()}
        rest = grouped(claim for claim in claims if proof(claim) not in done)
        if not rest:
            return done
        now = self.now() if now is None else now
        return done | self._archive_locked(rest, results, now=now)
