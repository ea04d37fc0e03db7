"""The project's own side of a measurement: `python -m benchmarks.project.client VERB [NUMBER]`.

Prints one line of JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import django

from .subject import PEER

Answer = dict[str, Any]


def prepare(_: int) -> Answer:
    """Make the tables, and one pending call to clone."""
    from django.core.management import call_command

    from . import tasks

    if PEER.table is None:
        return {}
    call_command("migrate", run_syncdb=True, verbosity=0)
    if PEER.table.can_be_cloned:
        PEER.enqueue(tasks.nothing)
    return {}


def fill(count: int) -> Answer:
    """Store pending calls in whatever quick way the queue has."""
    from . import tasks

    PEER.fill(tasks.nothing, count)
    return {}


def enqueue(count: int) -> Answer:
    """Store single calls, one commit each."""
    from . import tasks

    PEER.enqueue(tasks.nothing)  # connects
    return timed(count, lambda: PEER.enqueue(tasks.nothing))


def save(count: int) -> Answer:
    """Save single rows, one commit each."""
    from django.utils import timezone

    from .models import Row

    def save_one() -> None:
        now = timezone.now()
        Row(
            task_name="benchmarks.project.tasks.nothing",
            task_params="[[], {}]",
            task_hash="0" * 40,
            run_at=now,
            enqueued_at=now,
            uid=uuid.uuid4(),
        ).save()

    save_one()
    return timed(count, save_one)


def bulk(count: int) -> Answer:
    """Store calls through the queue's interface for many."""
    from . import tasks

    PEER.enqueue(tasks.nothing)
    return timed(1, lambda: PEER.enqueue_many(tasks.nothing, (() for _ in range(count))), of=count)


def timed(times: int, function: Callable[[], object], *, of: int | None = None) -> Answer:
    """Call a function so often; return calls (or `of`) a second and CPU seconds per thousand."""
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(times):
        function()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    count = of or times
    return {"rate": count / seconds, "cpu_per_1000": cpu * 1000 / count, "count": count}


def stamps(count: int) -> Answer:
    """Store calls at random moments, 0.2 to 1.0 seconds apart."""
    from . import tasks

    for _ in range(count):
        time.sleep(random.uniform(0.2, 1.0))
        PEER.enqueue(tasks.stamp, time.monotonic())
    return {}


def versions(_: int) -> Answer:
    """Tell what is installed."""
    from importlib.metadata import version

    if PEER.is_ours:
        from background_task import __version__ as ours
    found = ours if PEER.is_ours else version(PEER.distribution)
    return {
        "version": found,
        "python": sys.version.split()[0],
        "django": django.get_version(),
        "psycopg": version("psycopg"),
    }


def baseline(_: int) -> Answer:
    """Tell the memory of this project after `django.setup()`."""
    import gc
    import resource

    gc.collect()
    wanted = {"Rss": "rss", "Pss": "pss"}
    try:
        with open("/proc/self/smaps_rollup") as lines:
            found = [line.split() for line in lines if line.split(":")[0] in wanted]
    except OSError:
        return {"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    return {wanted[name.rstrip(":")]: int(size) * 1024 for name, size, *_ in found}


def pages(times: int) -> Answer:
    """Look at each page of the admin so often."""
    from .pages import measure

    return dict(measure(times))


VERBS: dict[str, Callable[[int], Answer]] = {
    verb.__name__: verb
    for verb in (prepare, fill, enqueue, save, bulk, stamps, versions, baseline, pages)
}


def main() -> None:
    django.setup()
    verb, number = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print(json.dumps(VERBS[verb](number)))


if __name__ == "__main__":
    main()
