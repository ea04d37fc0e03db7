"""The metrics: names and units by the conventions of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db.models import Count, Q, Sum
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ...models import Worker
from ...rollup import Histogram, upper_bound
from ...store import get_store, task_database
from ...store.depth import QueueDepth, depths
from ...store.rollups import Point, Rollups

PREFIX = "background_task"
#: How far a queue is counted.
MOST_COUNTED = 100_000
#: The upper bounds of the buckets that are told, in seconds: from milliseconds to a day.
BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(120.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 86400.0),
)
OUTCOMES = ("succeeded", "failed", "discarded", "cancelled")
LABELS = ("function", "queue")


class DatabaseCollector(Collector):
    """Reads everything anew each time it is asked.

    Args:
        using: The alias of the database; None for the one that tasks are written to.
    """

    def __init__(self, using: str | None = None) -> None:
        self._using = using

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        using = task_database() if self._using is None else self._using
        now = get_store(using).now()
        yield from of_ends(Rollups(using).totals())
        yield from of_queues(depths(using, now, most=MOST_COUNTED), now)
        yield from of_workers(using, now)


def make_registry(using: str | None = None) -> CollectorRegistry:
    """Return a registry with nothing but these metrics.

    To have them among those of the site itself, register a ``DatabaseCollector`` with its registry.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector(using))
    return registry


def of_ends(points: Iterable[Point]) -> Iterator[Metric]:
    """Return what has become of tasks, since the tables were made."""
    ended = CounterMetricFamily(
        f"{PREFIX}_tasks_ended", "Tasks that came to their end.", labels=(*LABELS, "outcome")
    )
    retried = CounterMetricFamily(
        f"{PREFIX}_retries", "Runs after which there was to be another attempt.", labels=LABELS
    )
    runs = HistogramMetricFamily(f"{PREFIX}_run_seconds", "How long runs took.", labels=LABELS)
    waits = HistogramMetricFamily(
        f"{PREFIX}_wait_seconds", "How long tasks were due before they were run.", labels=LABELS
    )
    for point in points:
        labels, tally = (point.task_name, point.queue or ""), point.tally
        for outcome in OUTCOMES:
            ended.add_metric((*labels, outcome), getattr(tally, outcome))
        retried.add_metric(labels, tally.retried)
        runs.add_metric(labels, cumulated(tally.runs), tally.runs.seconds)
        waits.add_metric(labels, cumulated(tally.waits), tally.waits.seconds)
    return iter((ended, retried, runs, waits))


def cumulated(histogram: Histogram) -> list[tuple[str, float]]:
    """Return how many times were no longer than each of the bounds.

    A time counts with the first bound that it certainly does not exceed; it is known within 20 %.
    """
    counts = [(upper_bound(bucket), count) for bucket, count in histogram.counts.items()]
    told: list[tuple[str, float]] = [
        (str(bound), sum(count for longest, count in counts if longest <= bound * (1 + 1e-9)))
        for bound in BUCKETS
    ]
    return [*told, ("+Inf", histogram.total)]


def of_queues(found: Iterable[QueueDepth], now: datetime) -> Iterator[Metric]:
    """Return what is in the queues. One that has nothing is not told of."""
    due = GaugeMetricFamily(
        f"{PREFIX}_queue_due",
        f"Tasks that are due and wait for a worker; counted up to {MOST_COUNTED}.",
        labels=("queue",),
    )
    later = GaugeMetricFamily(
        f"{PREFIX}_queue_scheduled",
        f"Tasks whose time is yet to come; counted up to {MOST_COUNTED}.",
        labels=("queue",),
    )
    running = GaugeMetricFamily(
        f"{PREFIX}_queue_running", "Tasks that a worker has claimed.", labels=("queue",)
    )
    oldest = GaugeMetricFamily(
        f"{PREFIX}_queue_oldest_due_seconds",
        "For how long the first of the due tasks has waited.",
        labels=("queue",),
    )
    for depth in found:
        labels = (depth.queue or "",)
        due.add_metric(labels, depth.due)
        later.add_metric(labels, depth.later)
        running.add_metric(labels, depth.running)
        oldest.add_metric(labels, depth.oldest_seconds(now) or 0.0)
    return iter((due, later, running, oldest))


def of_workers(using: str, now: datetime) -> Iterator[Metric]:
    """Return how many workers there are."""
    alive = Q(stopped_at__isnull=True, expires_at__gte=now)
    silent = Q(stopped_at__isnull=True, expires_at__lt=now)
    found = Worker.objects.using(using).aggregate(
        alive=Count("pk", filter=alive),
        silent=Count("pk", filter=silent),
        slots=Sum("capacity", filter=alive),
        memory=Sum("memory_bytes", filter=alive),
    )
    for name, text, value in (
        ("workers_alive", "Workers that have given a sign of life in time.", found["alive"]),
        ("workers_silent", "Workers that have not, and have not said goodbye.", found["silent"]),
        ("worker_slots", "How many tasks the living workers run at once.", found["slots"]),
        ("worker_memory_bytes", "What their processes take together.", found["memory"]),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value or 0)
