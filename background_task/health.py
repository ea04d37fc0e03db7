"""Whether tasks are being run as they should: a few cheap questions, for programs and people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q

from .exceptions import InvalidOptionError
from .models import Worker
from .rollup import Tally
from .store import get_store, task_database
from .store.depth import depths
from .store.pause import Pauses
from .store.rollups import Rollups

#: No queue is counted further: only its oldest task matters.
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is still healthy; None leaves a question out.

    Attributes:
        max_wait: For how many seconds the oldest due task may have waited.
        max_failed_share: The part of the tasks that ended which may have failed, from 0 to 1.
        window: Within how many seconds, up to now, tasks have ended and workers have died.
        least_ended: If fewer tasks have ended within that time, it says nothing how many failed.
        max_dead: How many workers may have died without a word within that time.
        min_workers: How many workers have to be alive.
        queue: Look at this queue and its workers only; empty is the unnamed one, None means all.
    """

    max_wait: float | None = 300.0
    max_failed_share: float | None = None
    window: float = 900.0
    least_ended: int = 10
    max_dead: int | None = None
    min_workers: int | None = 1
    queue: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_wait", "max_dead", "min_workers", "least_ended"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InvalidOptionError(f"{name} {_plain(value)} is no threshold; use 0 or more")
        share = self.max_failed_share
        if share is not None and not 0 <= share <= 1:
            raise InvalidOptionError(
                f"max_failed_share {_plain(share)} is no part of a whole; use 0 to 1, such as "
                "0.1 for 10 %"
            )
        if not 0 < self.window <= 7 * 86400:
            raise InvalidOptionError(
                f"window {_plain(self.window)} is not a time to look back at; use seconds above 0 "
                "and up to 7 days, for which what has ended is known"
            )

    def is_about(self, queue: str | None) -> bool:
        """Tell whether a queue is one of those to be looked at."""
        return self.queue is None or self.queue == (queue or "")


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question.

    Attributes:
        name: ``"wait"``, ``"failed-share"``, ``"dead-workers"`` or ``"workers"``.
        is_healthy: Whether it is within its threshold.
        value: What was found; None if there was nothing to be measured.
        threshold: What it was compared with.
        text: The same for people, in one line.
    """

    name: str
    is_healthy: bool
    value: float | None
    threshold: float
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """All answers.

    Attributes:
        at: When the questions were asked, by the database's clock.
        checks: The answers.
    """

    at: datetime
    checks: tuple[Check, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether each answer is within its threshold."""
        return all(check.is_healthy for check in self.checks)


def check_health(
    thresholds: Thresholds | None = None,
    *,
    using: str | None = None,
    now: datetime | None = None,
) -> Health:
    """Ask whether tasks are being run as they should.

    Args:
        thresholds: What is still healthy; None for the usual.
        using: The alias of the database; None for the one that tasks are written to.
        now: Overrides the database's clock.

    Raises:
        django.db.Error: The database does not answer.
    """
    wanted = Thresholds() if thresholds is None else thresholds
    using = task_database() if using is None else using
    now = get_store(using).now() if now is None else now
    checks = []
    if wanted.max_wait is not None:
        checks.append(_wait(wanted, wanted.max_wait, using=using, now=now))
    if wanted.max_failed_share is not None:
        checks.append(_failed_share(wanted, wanted.max_failed_share, using=using, now=now))
    if wanted.max_dead is not None:
        checks.append(_dead(wanted, wanted.max_dead, using=using, now=now))
    if wanted.min_workers is not None:
        checks.append(_workers(wanted, wanted.min_workers, using=using, now=now))
    return Health(now, tuple(checks))


def _wait(wanted: Thresholds, most: float, *, using: str, now: datetime) -> Check:
    """Ask how long the oldest due task has waited; what is in a paused queue is meant to wait."""
    found = [each for each in depths(using, now, most=MOST_COUNTED) if wanted.is_about(each.queue)]
    if any(each.due for each in found):
        paused = Pauses(using).read().queues
        found = [each for each in found if (each.queue or "") not in paused]
    waits = [(seconds, each) for each in found if (seconds := each.oldest_seconds(now)) is not None]
    if not waits:
        return Check("wait", True, None, most, "no task is due and waits")
    seconds, depth = max(waits, key=lambda pair: pair[0])
    name = "the unnamed queue" if depth.queue is None else f"queue {depth.queue}"
    return Check(
        "wait",
        seconds <= most,
        seconds,
        most,
        f"the oldest due task has waited for {seconds:.0f} s, in {name} (at most {_plain(most)} s)",
    )


def _failed_share(wanted: Thresholds, most: float, *, using: str, now: datetime) -> Check:
    tally = Tally()
    for point in Rollups(using).read(now - timedelta(seconds=wanted.window)):
        if wanted.is_about(point.queue):
            tally.merge(point.tally)
    within = f"within {_plain(wanted.window)} s"
    if tally.ended < wanted.least_ended:
        text = f"{tally.failed} of {tally.ended} tasks failed {within}, too few to judge by"
        return Check("failed-share", True, None, most, text)
    share = tally.failed_share
    text = (
        f"{tally.failed} of {tally.ended} tasks failed {within}: {share:.1%} (at most {most:.1%})"
    )
    return Check("failed-share", share <= most, share, most, text)


def _dead(wanted: Thresholds, most: int, *, using: str, now: datetime) -> Check:
    """Ask how many workers have not said goodbye: one that does so gives its last sign of life."""
    silent = Q(stopped_at__isnull=True, expires_at__lt=now)
    since = now - timedelta(seconds=wanted.window)
    buried = Q(stopped_at__gte=since, stopped_at__gt=F("heartbeat_at"))
    number = _serving(wanted, silent | buried, using)
    have = "worker has" if number == 1 else "workers have"
    text = f"{number} {have} died within {_plain(wanted.window)} s (at most {most})"
    return Check("dead-workers", number <= most, number, most, text)


def _workers(wanted: Thresholds, least: int, *, using: str, now: datetime) -> Check:
    number = _serving(wanted, Worker.alive(now), using)
    are = "worker is" if number == 1 else "workers are"
    text = f"{number} {are} alive (at least {least})"
    return Check("workers", number >= least, number, least, text)


def _serving(wanted: Thresholds, condition: Q, using: str) -> int:
    """Return how many workers there are that serve what is looked at."""
    workers = Worker.objects.using(using).filter(condition)
    return sum(wanted.queue is None or worker.serves(wanted.queue or None) for worker in workers)


def _plain(value: float) -> str:
    """Return a number without an exponent."""
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    return f"{value:.12f}".rstrip("0").rstrip(".")
