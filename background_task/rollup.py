"""How many runs ended in which way, and how long they took: small enough to be added up."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Times are told apart by a factor of 1.2, from a millisecond on: a percentile is right in 20 %.
SHORTEST_SECONDS, FACTOR = 0.001, 1.2
LOG_FACTOR = math.log(FACTOR)
#: How many classes of exceptions are told apart within a row; the rest are ``OTHER``.
MOST_ERRORS, OTHER = 20, "other"


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket that a time falls into; 0 is up to a millisecond."""
    if seconds <= SHORTEST_SECONDS:
        return 0
    return math.ceil(math.log(seconds / SHORTEST_SECONDS) / LOG_FACTOR - 1e-9)


def upper_bound(bucket: int) -> float:
    """Return the longest time, in seconds, that falls into a bucket."""
    return SHORTEST_SECONDS * FACTOR**bucket


@dataclass(slots=True)
class Histogram:
    """Times in buckets.

    Attributes:
        counts: How many there are, by bucket.
        seconds: Their sum.
    """

    counts: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a time; one below zero, from two clocks that differ, counts as zero."""
        if seconds > 0:  # no calls that are not needed: each end of a run comes by here
            self.counts[bucket_of(seconds)] += 1
            self.seconds += seconds
        else:
            self.counts[0] += 1

    def merge(self, other: Histogram) -> None:
        """Count all that the other one has."""
        self.counts.update(other.counts)
        self.seconds += other.seconds

    @property
    def total(self) -> int:
        """How many times there are."""
        return self.counts.total()

    def percentile(self, percent: float) -> float | None:
        """Return the time, in seconds, that so many percent of the times do not exceed.

        It is right within 20 %, and never too low; None if there are no times.
        """
        rank, seen = self.total * percent / 100, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return upper_bound(bucket)
        return None

    def to_text(self) -> str:
        """Return what is stored."""
        counts = {str(bucket): count for bucket, count in sorted(self.counts.items())}
        return json.dumps([round(self.seconds, 3), counts], separators=(",", ":"))

    @classmethod
    def read(cls, stored: str | None) -> Histogram:
        """Return what was stored; an empty one if it cannot be read."""
        try:
            seconds, counts = json.loads(stored or "")
            return cls(Counter({int(key): int(counts[key]) for key in counts}), float(seconds))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return cls()


@dataclass(slots=True)
class Tally:
    """What has become of the runs of a function, or of many functions, within some time.

    Attributes:
        succeeded: Tasks that are done.
        failed: Tasks that have failed for good.
        retried: Runs after which there was to be another attempt.
        discarded: Tasks that were not wanted any more.
        cancelled: Tasks that somebody cancelled.
        waits: How long tasks were due before they were claimed.
        runs: How long runs took.
        errors: How many runs each class of exceptions has ended, by its path.
    """

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    discarded: int = 0
    cancelled: int = 0
    waits: Histogram = field(default_factory=Histogram)
    runs: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def ended(self) -> int:
        """How many tasks have come to their end."""
        return self.succeeded + self.failed + self.discarded + self.cancelled

    @property
    def failed_share(self) -> float:
        """The part of those that ended which failed, from 0 to 1."""
        return self.failed / self.ended if self.ended else 0.0

    def merge(self, other: Tally) -> None:
        """Count all that the other one has."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.retried += other.retried
        self.discarded += other.discarded
        self.cancelled += other.cancelled
        self.waits.merge(other.waits)
        self.runs.merge(other.runs)
        self.errors.update(other.errors)

    def errors_text(self) -> str | None:
        """Return what is stored of the errors; the rarest ones become ``OTHER``."""
        if not self.errors:
            return None
        kept = dict(self.errors.most_common(MOST_ERRORS))
        rest = self.errors.total() - sum(kept.values())
        if rest:
            kept[OTHER] = kept.get(OTHER, 0) + rest
        return json.dumps(kept, separators=(",", ":"))

    @staticmethod
    def read_errors(stored: str | None) -> Counter[str]:
        """Return the errors that were stored; none if they cannot be read."""
        try:
            found = json.loads(stored or "{}")
            is_readable = isinstance(found, Mapping)
            return Counter({str(key): int(found[key]) for key in found} if is_readable else {})
        except (TypeError, ValueError, OverflowError, RecursionError):
            return Counter()
