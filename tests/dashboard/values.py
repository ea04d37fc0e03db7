"""Points and samples to begin with, in the hour before a moment."""

from collections import Counter
from datetime import datetime, timedelta, timezone

from background_task.rollup import Histogram, Tally
from background_task.store.rollups import Point, Sample

#: A Wednesday.
NOW = datetime(2026, 3, 4, 12, 30, 20, tzinfo=timezone.utc)


def ago(**values):
    return NOW - timedelta(**values)


def times(*seconds):
    histogram = Histogram()
    for each in seconds:
        histogram.add(each)
    return histogram


def tally(*, waits=(), runs=(), errors=None, **counts):
    return Tally(**counts, waits=times(*waits), runs=times(*runs), errors=Counter(errors or {}))


def point(at, name="shop.tasks.send", queue=None, seconds=60, **values):
    return Point(at, seconds, name, queue, tally(**values))


def sample(at, queue=None, due=0, running=0, oldest=None):
    return Sample(at, queue, due, running, oldest)
