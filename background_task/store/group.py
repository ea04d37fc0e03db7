"""Finishing many claims at once: rows go to the archive as a set, still fenced one by one.

Only where nobody looks at the single rows. A project that listens to Django's own save and delete
signals of the tables, or has foreign keys to them, gets each row as ``Store.finish`` does it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connections, transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from ..attempt import LARGEST_ATTEMPTS, Claim, Outcome, Succeeded
from ..identity import new_uid
from ..models import CompletedTask, Task, TaskRecord
from .levels import LevelStore
from .result import Finish

#: Rows in one statement; more do not make it cheaper.
MOST_ROWS = 500

#: What the results of one statement take together; servers refuse statements that are too long.
MOST_RESULT_BYTES = 1_000_000

#: Owner, number and key: two claims of one row may well be in the same group.
Proof = tuple[str, int, int]

#: What was returned and is to be kept.
Results = Mapping[Proof, str]

#: Claims with the same proof of ownership, by which a statement can find their rows.
Group = tuple[str, int, list[int]]

#: Rows of which one has to look at each; in SQL, the others.
REPEATING = Q(repeat__gt=0) | Q(repeat_rule__isnull=False)
ONCE = "repeat <= 0 AND repeat_rule IS NULL"

SIGNALS = (pre_save, post_save, pre_delete, post_delete)


class GroupStore(LevelStore):
    """A store that archives succeeded tasks by ``INSERT ... SELECT``."""

    def finish_many(
        self, ends: Sequence[tuple[Claim, Outcome]], *, now: datetime | None = None
    ) -> list[Finish | None]:
        """Write several outcomes; see ``Store.finish_many``."""
        if self.in_transaction() or is_watched():
            return super().finish_many(ends, now=now)
        plain = [
            (claim, outcome.result)
            for claim, outcome in ends
            if claim.number and type(outcome) is Succeeded
        ]
        archived: dict[Proof, Finish] = {}
        for claims, results in batches(plain):
            archived |= self._archive_many(claims, results, now=now)
        # Taken out: of the same claim given twice, only one has finished the row.
        return [
            archived.pop(proof(claim), None)
            if claim.number and type(outcome) is Succeeded
            else self.finish(claim, outcome, now=now)
            for claim, outcome in ends
        ]

    def _archive_many(
        self, claims: Collection[Claim], results: Results, *, now: datetime | None
    ) -> dict[Proof, Finish]:
        """Archive what still holds, and say of which rows that was."""
        now = self.now() if now is None else now
        return self._archive_locked(grouped(claims), results, now=now)

    def _archive_locked(
        self, groups: Sequence[Group], results: Results, *, now: datetime
    ) -> dict[Proof, Finish]:
        """Lock the rows, add repetitions, copy to the archive, delete: in one transaction.

        The first statement takes the locks, as in ``Store.finish``: whoever else wants to finish
        one of the rows waits, and then finds it gone.
        """
        with transaction.atomic(using=self.using):
            held: dict[int, Proof] = {}
            for owner, number, keys in groups:
                rows = self.tasks.owned_by(owner).filter(pk__in=keys, claim_number=number)
                held |= {key: (owner, number, key) for key in self._lock(rows)}
            if not held:
                return {}
            rows = self.tasks.filter(pk__in=list(held))
            chains = [(task, task.repetition(now=now)) for task in rows.filter(REPEATING)]
            following = {task.pk: repetition for task, repetition in chains}
            self.hand_over(rows, [(task, next_) for task, next_ in chains if next_ is not None])
            repetitions = [task for task in following.values() if task is not None]
            for task in repetitions:
                task.uid, task.enqueued_at = task.uid or new_uid(), now
            self.tasks.bulk_create(repetitions)
            with connections[self.using].cursor() as cursor:
                copying, texts = self._copying_with(
                    {key: results[owned] for key, owned in held.items() if owned in results}
                )
                cursor.execute(
                    f"{copying} FROM {self.table} WHERE id IN ({in_sql(held)})",
                    [self._moment(now), *texts],
                )
            rows._raw_delete(self.using)
        return {held[key]: Finish(repetition=following.get(key)) for key in held}

    # -- pieces of statements -------------------------------------------------------------------

    @cached_property
    def table(self) -> str:
        """The quoted name of the table of live tasks."""
        return connections[self.using].ops.quote_name(Task._meta.db_table)

    @cached_property
    def copying(self) -> str:
        """``INSERT INTO archive (...) SELECT ...``, with one parameter: the time of the end."""
        return self._copying()

    def _copying(self, result: str | None = None) -> str:
        """Return that; with the results, if there are any, from this SQL expression."""
        quote = connections[self.using].ops.quote_name
        values = {
            name: name
            for name in (quote(str(field.column)) for field in TaskRecord._meta.local_fields)
        }
        least = "MIN" if connections[self.using].vendor == "sqlite" else "LEAST"
        values[quote("run_at")] = "%s"
        # Not past what the column can count to.
        values[quote("attempts")] = f"{least}(attempts, {LARGEST_ATTEMPTS - 1}) + 1"
        if result is not None:
            values[quote("return_value")] = result
        archive = quote(CompletedTask._meta.db_table)
        return f"INSERT INTO {archive} ({', '.join(values)}) SELECT {', '.join(values.values())}"

    def _copying_with(self, results: Mapping[int, str]) -> tuple[str, list[str]]:
        """Return how to copy rows with their results, by key, and the parameters for those."""
        if not results:
            return self.copying, []
        cases = " ".join([f"WHEN {key:d} THEN %s" for key in results])
        return self._copying(f"CASE id {cases} END"), list(results.values())

    def _moment(self, moment: datetime) -> Any:
        """Return a time as a parameter of a raw statement."""
        field = Task._meta.get_field("run_at")
        return field.get_db_prep_value(moment, connections[self.using])


def is_watched() -> bool:
    """Tell whether anything in the project wants to see single rows saved or deleted."""
    return any(
        signal.receivers and signal.has_listeners(model)
        for signal in SIGNALS
        for model in (Task, CompletedTask)
    ) or any(
        field.auto_created and not field.concrete  # somebody's foreign key, with a name or hidden
        for model in (Task, CompletedTask)
        for field in model._meta.get_fields(include_hidden=True)
    )


def proof(claim: Claim) -> Proof:
    """Return what tells a claim from every other, those of the same row included."""
    return claim.owner, claim.number, claim.task_id


def batches(ends: Iterable[tuple[Claim, str | None]]) -> Iterator[tuple[list[Claim], Results]]:
    """Yield claims, and those results that there are, in pieces that fit into a statement."""
    claims: list[Claim] = []
    results: dict[Proof, str] = {}
    size = 0
    for claim, result in ends:
        if result is not None:
            if size + len(result) > MOST_RESULT_BYTES and results:
                yield claims, results
                claims, results, size = [], {}, 0
            results[proof(claim)] = result
            size += len(result)
        claims.append(claim)
    if claims:
        yield claims, results


def results_of(group: Group, results: Results) -> dict[int, str]:
    """Return the results of a group by primary key."""
    owner, number, keys = group
    if not results:
        return {}
    found = {key: results.get((owner, number, key)) for key in keys}
    return {key: result for key, result in found.items() if result is not None}


def grouped(claims: Iterable[Claim]) -> list[Group]:
    """Return claims with the same owner and number together, in pieces of ``MOST_ROWS``."""
    keys: dict[tuple[str, int], list[int]] = defaultdict(list)
    for claim in claims:
        keys[claim.owner, claim.number].append(claim.task_id)
    return [
        (owner, number, sorted(group[start : start + MOST_ROWS]))
        for (owner, number), group in keys.items()
        for start in range(0, len(group), MOST_ROWS)
    ]


def in_sql(keys: Iterable[int]) -> str:
    """Return primary keys as a list in SQL; whole numbers need no quoting."""
    return ", ".join(f"{key:d}" for key in keys)
