"""Which failed tasks may be tried anew, and which have been."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from ..models import CompletedTask, CompletedTaskQuerySet
from ..policy_option import parse_overrides
from ..repeat_option import LEFT, MISSED, RUNS, TICK
from .selection import ALL, Selection

#: Key in the ``options`` of an archived task under which stands the ``uid`` of the one that tries
#: it anew. As text it cannot be part of a value, in which quotes are escaped.
RETRIED = "retried"
RETRIED_TEXT = f'"{RETRIED}":"'
#: Keys that are no more true for a task that begins anew; the producer knows of the first whether
#: it is.
PASSED = ("unique", TICK, LEFT, RETRIED)


def failed_tasks(
    using: str,
    *,
    uids: Collection[UUID] = (),
    selection: Selection = ALL,
    since: datetime | None = None,
    until: datetime | None = None,
    again: bool = False,
) -> CompletedTaskQuerySet:
    """Return failed tasks of the archive.

    Args:
        using: The alias of the database.
        uids: Only these; none means all.
        selection: Which of them.
        since: Those that failed at this moment or later.
        until: Those that failed before this moment.
        again: Also those that have been tried anew.
    """
    rows = CompletedTask.objects.using(using).filter(failed_at__isnull=False)
    if uids:
        rows = rows.filter(uid__in=uids)
    if since is not None:
        rows = rows.filter(failed_at__gte=since)
    if until is not None:
        rows = rows.filter(failed_at__lt=until)
    if not again:
        rows = rows.exclude(options__contains=RETRIED_TEXT)
    return selection.among(rows)


def begun_anew(options: str | None, *, repeats: bool) -> str | None:
    """Return the options for a task that is tried anew.

    Args:
        options: Those of the one that has failed.
        repeats: Whether its chain goes on.
    """
    if options is None:
        return None
    left_out = PASSED if repeats else (*PASSED, RUNS, MISSED)
    kept = {key: value for key, value in parse_overrides(options).items() if key not in left_out}
    return json.dumps(kept, separators=(",", ":")) if kept else None


def mark_retried(row: CompletedTask, uid: UUID) -> bool:
    """Say of a failed task which one tries it anew; False if it has changed since it was read.

    Two rivals: those who both want to try it anew. The second one finds other options than it has
    read, and inserts nothing.
    """
    options = {**(parse_overrides(row.options) if row.options else {}), RETRIED: uid.hex}
    unchanged = CompletedTask.objects.using(row._state.db).filter(pk=row.pk, options=row.options)
    return bool(unchanged.update(options=json.dumps(options, separators=(",", ":"))))
