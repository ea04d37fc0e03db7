"""Schedules of another system as text for ``BACKGROUND_TASK_PERIODIC``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..declaration import declared
from ..exceptions import InvalidOptionError, InvalidOptionTypeError
from ..recurrence import Crontab, Interval, Rule
from ..recurrence.zone import SECOND
from ..store.clock import read_clock
from ..tasks import tasks
from .part import Part
from .target import Targets
from .writer import Batch, Report, Taken, look


def as_settings(
    part: Part, targets: Targets, *, queues: Collection[str] = ()
) -> tuple[str, Report]:
    """Return the schedules of a table as settings, and what has become of each; change nothing."""
    report = Report(others=part.others(read_clock(part.using)))
    lines: list[str] = []
    for batch in look(part, targets, queues=queues):
        said = Batch(known=batch.known, left=batch.left)
        for taken in batch.taken:
            try:
                lines += _lines(taken)
                said.taken.append(taken)
            except (InvalidOptionError, InvalidOptionTypeError) as error:
                said.left.append((taken.call.key, str(error)))
        report.add(said)
    return "\n".join(["BACKGROUND_TASK_PERIODIC = {", *lines, "}"]), report


def _lines(taken: Taken) -> list[str]:
    """Return an entry, line by line.

    Raises:
        InvalidOptionError: It cannot be said there.
        InvalidOptionTypeError: Likewise.
    """
    call, spec = taken.call, taken.spec
    if call.rule is None:
        raise InvalidOptionError("it runs once, which no settings say; import it without them")
    if spec.backend is not None:
        raise InvalidOptionError(
            f"{spec.task_name} is a @task, and settings name functions with @background; "
            "import it without them"
        )
    name = call.name or spec.task_name
    entry: dict[str, Any] = {"task": spec.task_name, **_schedule(call.rule)}
    entry |= {part: value for part, value in _arguments(taken).items() if value}
    declared(tasks._tasks, {name: entry})  # refuses what cannot work
    comments = [f"    # without {text}" for text in _unsaid(taken)]
    written = [f"        {key!r}: {value!r}," for key, value in entry.items()]
    return [*comments, f"    {name!r}: {{", *written, "    },"]


def _schedule(rule: Rule) -> dict[str, Any]:
    if isinstance(rule, Crontab):
        return {"schedule": rule.expression, "zone": rule.zone}
    if isinstance(rule, Interval) and not rule.period % SECOND:
        return {"schedule": rule.period // SECOND}
    return {"schedule": str(rule)}


def _arguments(taken: Taken) -> dict[str, Any]:
    return {"args": list(taken.call.args), "kwargs": dict(taken.call.kwargs)}


def _unsaid(taken: Taken) -> list[str]:
    """Return what settings do not say of a schedule."""
    call = taken.call
    unsaid = [f"its {name}" for name in call.dropped]
    if call.queue is not None:
        unsaid.append(f"its queue {call.queue!r}: set that of the function")
    if call.expires is not None:
        unsaid.append(f"expires {call.expires:g}: set that of the function")
    if call.until is not None:
        unsaid.append(f"its end at {call.until}")
    if call.runs is not None:
        unsaid.append(f"its end after {call.runs} runs")
    return unsaid
