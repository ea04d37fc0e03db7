"""The command: what is asked for, the rounds, and the report."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import environments, plan
from .environments import CACHE, LOGS, ROOT
from .peers import NAMES, load
from .plan import FLOOR, FULL, KINDS, QUICK, Job

DATABASES = ("postgresql", "sqlite", "mariadb", "redis")
WORKERS = ("1", "2", "4")
LARGE = 10_000_000


def parse_arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=some_of(KINDS), default=KINDS, help=", ".join(KINDS))
    parser.add_argument(
        "--peers",
        type=some_of((*NAMES, FLOOR)),
        default=(*NAMES, FLOOR),
        help=", ".join((*NAMES, FLOOR)),
    )
    parser.add_argument(
        "--database", type=some_of(DATABASES), default=DATABASES, help=", ".join(DATABASES)
    )
    parser.add_argument(
        "--workers", type=some_of(WORKERS), default=WORKERS, help=", ".join(WORKERS)
    )
    parser.add_argument("--revision", help="measure the library as it is in this commit")
    parser.add_argument("--rounds", type=int, help="how often (default 3, with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="less of everything, one round")
    parser.add_argument("--large", action="store_true", help="also with ten million pending")
    parser.add_argument(
        "--minutes", type=float, default=25, help="begin nothing new after so long (default 25)"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report")
    parser.add_argument("--write", action="store_true", help="write to docs/ whatever was measured")
    parser.add_argument(
        "--python", default=environments.find_python(), help="the Python of the environments"
    )
    return parser.parse_args()


def some_of(known: Sequence[str]) -> Any:
    """Return an argument type: names with commas between them."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown)} unknown; there are {', '.join(known)}"
            )
        return names

    return parse


def run(options: argparse.Namespace) -> int:
    """Measure and report; return the exit code."""
    signal.signal(signal.SIGTERM, interrupt)
    environments.forget_earlier_runs()
    LOGS.mkdir(parents=True, exist_ok=True)
    path = CACHE / ("quick.jsonl" if options.quick else "results.jsonl")
    is_complete = False
    if not options.report:
        try:
            is_complete = measure(options, path) and not options.quick
        except KeyboardInterrupt:
            print("Interrupted; what was measured so far is kept.", flush=True)
    from .report import write_report

    into = ROOT / "docs" if options.write or is_complete else CACHE / "report"
    write_report(path, into)
    return 0


def interrupt(*_: object) -> None:
    """SIGTERM unwinds as Ctrl-C does, so no server and no worker stays behind."""
    raise KeyboardInterrupt


def measure(options: argparse.Namespace, path: Path) -> bool:
    """Run the rounds; tell whether everything there is was asked for and measured."""
    from .bench import Bench

    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = dataclasses.replace(scale, rounds=options.rounds)
    if options.large:
        scale = dataclasses.replace(scale, large_backlogs=(*scale.large_backlogs, LARGE))
    wanted = list(
        plan.jobs(
            scale,
            [load(name) for name in options.peers if name != FLOOR],
            only=options.only,
            databases=options.database,
            with_floor=FLOOR in options.peers,
        )
    )
    wanted = [job for job in wanted if str(job.cell.workers) in options.workers]
    environments.snapshot(options.revision)
    end = time.monotonic() + options.minutes * 60
    bench = Bench(options.python)
    with open(path, "a") as lines:
        recorder = Recorder(lines)
        with contextlib.closing(bench):
            try:
                is_finished = run_rounds(bench, scale, wanted, recorder, end)
            finally:
                recorder.describe(bench, rounds=scale.rounds, revision=options.revision)
    asked = (options.only, options.database, options.peers, options.workers)
    return is_finished and asked == (KINDS, DATABASES, (*NAMES, FLOOR), WORKERS)


def run_rounds(bench: Any, scale: plan.Scale, wanted: list[Job], recorder: Any, end: float) -> bool:
    """Measure each job so often as it says, in random order within a round.

    Returns:
        Whether the first round came to its end, so that every figure is there.
    """
    from .measures import SIDE_BY_SIDE, measure_group

    for number in range(1, max((job.rounds for job in wanted), default=0) + 1):
        cells = [job.cell for job in wanted if job.rounds >= number]
        for kind in KINDS:
            chosen = [cell for cell in cells if cell.what == kind]
            random.shuffle(chosen)
            width = SIDE_BY_SIDE.get(kind, 1)
            for start in range(0, len(chosen), width):
                if time.monotonic() > end:
                    print(f"The time is over; the rest of round {number} is left out.", flush=True)
                    return number > 1
                group = chosen[start : start + width]
                for cell, answer in measure_group(bench, group, scale):
                    recorder.write(cell, number, answer)
    return True


class Recorder:
    """Writes result lines, and shows them."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines
        self.name = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._load = os.getloadavg()[0]

    def write(self, cell: Any, number: int, answer: dict[str, Any] | str) -> None:
        row = {"run": self.name, "cell": dataclasses.asdict(cell), "round": number}
        row |= {"error": answer} if isinstance(answer, str) else {"found": answer}
        self._line(row)
        print(f"{number} {cell}: {shown(answer)}", flush=True)

    def describe(self, bench: Any, *, rounds: int, revision: str | None) -> None:
        """Say what this was run with."""
        self._line(
            {
                "run": self.name,
                "rounds": rounds,
                "commit": commit(revision),
                "machine": machine(),
                "load": self._load,
                "servers": {host.kind: host.description for host in bench.hosts()},
                "versions": bench.versions(),
            }
        )

    def _line(self, row: dict[str, Any]) -> None:
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()


def shown(answer: dict[str, Any] | str) -> str:
    if isinstance(answer, str):
        return answer
    return ", ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value:,}"
        for name, value in answer.items()
        if isinstance(value, int | float)
    )


def commit(revision: str | None) -> str:
    """Return the commit that is measured, and whether there were changes since."""
    done = subprocess.run(
        ["git", "describe", "--always", *([revision] if revision else ["--dirty"])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def machine() -> str:
    """Return processors, memory and system in a few words."""
    model = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        lines = cpu.read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} processors ({model}), {memory:.0f} GiB, {system}"
