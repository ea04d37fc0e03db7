"""The page: what was measured, on what, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..results import Results
from . import tables
from .goals import goals
from .plots import plots

INTRODUCTION = """
# Benchmarks

How fast this library is beside its peers and beside bare SQL. **Read the ratios, not the absolute
numbers**: workers, database server and the measuring program share the processors of one machine.
Cells are the median of the rounds, with the lowest and the highest; in each round everything ran in
random order. Differences below about a quarter mean nothing.

```shell
python3 benchmarks/run.py
```

makes this page again: it installs the peers into environments of their own, starts its own servers,
and ends them.
"""

MEANING = """
## What the figures mean

- **Drain**: no-op tasks are pending, then the workers start. Unfinished rows are counted a few
  times a second, from the first count that shows progress until all is done or the time is over.
  Starting the interpreter is left out. For huey and Celery "finished" means taken from the queue.
  The pending rows are clones, made by SQL, of one that was stored in the documented way
  (django-q2 and Celery: stored one by one, as each message has its own key).
- **CPU for 1,000 tasks**: user and system time of the whole process tree of the workers, and of
  the PostgreSQL server, which includes the counting.
- **Bare SQL**: psycopg 3 with prepared statements, or the sqlite3 module, on a table with one
  partial index. A batch is claimed in one commit and moved to an archive in another; "two-step"
  is a batch of one.
- **Enqueue**: the documented call in a loop, outside a transaction, so one commit each. The bare
  `Model.save()` is of a row with the same columns.
- **Pick-up**: one idle worker, calls 0.2 to 1.0 s apart at random; from just before the call to
  the first statement of the task. A few queues are measured side by side.
- **Backlog**: as drain, one worker. The smallest backlog is drained several times by a fresh
  worker.
- **Memory**: sums over the process tree, in MiB; PSS counts shared pages once.
- **Pages of the admin**: the median of fifteen requests by Django's test client, with so many
  rows in the table of live tasks and as many in the archive.
- **Idle**: a worker that has had nothing to do for some seconds.

PostgreSQL has the defaults of initdb (so every commit is written to the disk), SQLite is in WAL
mode with full synchronization. "Default" is the documented command with Django's own defaults;
"best" is the best reasonable configuration found in each peer's options, not the result of an
exhaustive search. Celery with Redis is an outside reference: it writes nothing durable for a
task.
"""


def write_report(path: Path, into: Path) -> None:
    """Write the page and its plots, and show the goals."""
    results = Results.read(path)
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("benchmarks-*.svg"):
        old.unlink()
    pictures = {}
    for name, title, svg in plots(results):
        (into / f"benchmarks-{name}.svg").write_text(svg, encoding="utf-8")
        pictures[name] = f"![{title}](benchmarks-{name}.svg)"
    text = "\n\n".join(part.strip() for part in parts(results, pictures) if part.strip())
    (into / "benchmarks.md").write_text(text + "\n", encoding="utf-8")
    for goal in goals(results):
        mark = "reached" if goal.is_reached else "NOT YET"
        print(f"{mark:8} {goal.what}: {goal.found} (goal {goal.wanted})")
    print(f"Report: {into / 'benchmarks.md'}", flush=True)


def parts(results: Results, pictures: dict[str, str]) -> Iterator[str]:
    """Yield the parts of the page; empty ones have no figures."""
    yield INTRODUCTION
    yield "\n".join(circumstances(results))
    yield section("Goals", tables.goal_table(results))
    for database in ("postgresql", "sqlite"):
        where = tables.database_title(database)
        drained = tables.drain_table(results, database)
        yield section(f"Drain on {where}: tasks/s", pictures.get(f"drain-{database}"), drained)
    yield section("Enqueue: tasks/s, one process", tables.storing_table(results))
    for database in ("postgresql", "sqlite", "mariadb"):
        yield section(
            f"Pick-up when idle on {tables.database_title(database)}: p50 / p95 / max in ms",
            pictures.get(f"latency-{database}"),
            tables.latency_table(results, database),
        )
    for database in ("postgresql", "sqlite"):
        yield section(
            f"Drain rate against the backlog on {tables.database_title(database)}: tasks/s",
            pictures.get(f"backlog-{database}"),
            tables.backlog_table(results, database),
        )
    yield section("Memory of one worker (best): MiB", tables.memory_table(results))
    yield section("An idle worker, default settings", tables.idle_table(results))
    yield section("Pages of the admin: ms", tables.page_table(results))
    yield section("What was run", tables.configuration_table())
    yield section("What could not be measured", "\n".join(missing(results)))
    yield MEANING


def section(title: str, *found: str | None) -> str:
    content = [part for part in found if part]
    return "\n\n".join([f"## {title}", *content]) if content else ""


def circumstances(results: Results) -> Iterator[str]:
    """Say when, where and with what."""
    run = results.latest_run()
    if run is None:
        return
    versions = results.versions()
    found = next(iter(versions.values()), {})
    names = {"python": "Python", "django": "Django", "psycopg": "psycopg"}
    rounds = f"up to {run['rounds']} rounds" if run["rounds"] > 1 else "one round"
    yield f"- {run['run'][:10]}, {rounds}; this library at {run['commit']}"
    yield f"- {run['machine']}; load before the run {run['load']:.1f}"
    yield f"- {', '.join(f'{title} {found[key]}' for key, title in names.items() if key in found)}"
    yield f"- {', '.join(results.servers())}"


def missing(results: Results) -> Iterator[str]:
    for cell, reason in results.errors():
        words = reason.replace("`", "'").replace("\n", " ")
        yield f"- {cell}: `{words}`"
