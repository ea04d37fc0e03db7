#!/usr/bin/env python3
"""Run the tests on every database this machine has: `python3 runtests.py`.

Needs Python 3.10 or newer and nothing else. Makes ./.venv, installs the project with its test
requirements there, starts a throwaway server per database and runs pytest on each. What was run,
what was skipped and why stands at the end; the exit code is 0 only when all that ran passed.

    python3 runtests.py                                   everything
    python3 runtests.py --database postgresql             one database
    python3 runtests.py -- tests/store -k claim           arguments after -- go to pytest
    python3 runtests.py --no-venv --database sqlite       in the Python that runs this file
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
DATABASES = ("sqlite", "postgresql", "mariadb")
REQUIREMENTS = ROOT / "tests" / "requirements.txt"
GRACE_SECONDS = 20
SERVER_REQUIREMENTS = ROOT / "tests" / "requirements-servers.txt"


class Result(NamedTuple):
    """How one database fared."""

    database: str
    verdict: str  # passed, failed, skipped
    detail: str


def main() -> int:
    options = parse_arguments()
    if sys.version_info < (3, 10):  # noqa: UP036 - the first thing a newcomer may run
        print(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, terminate)
    # A shell that starts us in the background has us ignore SIGINT, and pytest after us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not options.no_venv:
        return run_in_venv()
    results = [run_database(name, options.pytest) for name in options.database or DATABASES]
    return report(results, required=options.database or [])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--database",
        action="append",
        choices=DATABASES,
        help="run on this database only, and fail when it is not here (can be repeated)",
    )
    parser.add_argument(
        "--no-venv", action="store_true", help="use the running Python; install nothing"
    )
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    return parser.parse_args()


def run_in_venv() -> int:
    """Install into ./.venv what is missing there, then run this file again inside it."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = VENV / ".installed"
    wanted = fingerprint()
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        install(python)
        stamp.write_text(wanted)
    command = [str(python), str(Path(__file__).resolve()), "--no-venv", *sys.argv[1:]]
    if os.name == "posix":
        os.execv(command[0], command)  # one process fewer between a signal and the servers
    return subprocess.run(command, check=False).returncode


def fingerprint() -> str:
    """Changes when the venv has to be made again."""
    digest = hashlib.sha256(sys.version.encode())
    digest.update(str(ROOT).encode())
    for path in (REQUIREMENTS, SERVER_REQUIREMENTS, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install(python: Path) -> None:
    print(f"Installing the project and its test requirements into {VENV} ...", flush=True)
    if VENV.is_file():
        VENV.unlink()  # tox leaves a note of its last environment here when the name is free
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode != 0:
        sys.exit(
            "This Python cannot make virtual environments (on Debian and Ubuntu the package "
            "python3-venv brings that)."
        )
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    needed = [*pip, "--editable", str(ROOT), "--requirement", str(REQUIREMENTS)]
    if subprocess.run(needed, env=environment, check=False).returncode != 0:
        sys.exit("The test requirements could not be installed; pip says why above.")
    wheel = subprocess.run(
        [*pip, "--requirement", str(SERVER_REQUIREMENTS)], env=environment, check=False
    )
    if wheel.returncode != 0:
        print("No PostgreSQL wheel for this platform; one on the machine will do.", flush=True)


def run_database(name: str, pytest_arguments: list[str]) -> Result:
    """Run the whole suite on one database."""
    from tests import servers

    try:
        with database(name) as (description, environment):
            print(f"\n=== {name}: {description}", flush=True)
            began = time.monotonic()
            code, counts = run_pytest(environment, pytest_arguments)
            detail = f"{description}: {counts} in {time.monotonic() - began:.0f} s"
    except servers.UnavailableError as reason:
        return Result(name, "skipped", str(reason))
    return Result(name, "passed" if code == 0 else "failed", detail)


@contextlib.contextmanager
def database(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a description of the database and the environment that points the tests at it."""
    if name == "sqlite":
        yield f"SQLite {sqlite3.sqlite_version}", {"BACKGROUND_TASK_TEST_DATABASE": "sqlite"}
        return
    from tests import servers

    starters = {"postgresql": servers.start_postgresql, "mariadb": servers.start_mariadb}
    server = starters[name]()
    try:
        with servers.controlled(server) as control:
            yield server.description, {**server.environment(), **control}
    finally:
        server.remove()


def run_pytest(environment: dict[str, str], arguments: list[str]) -> tuple[int, str]:
    """Return pytest's exit code and its counts."""
    with tempfile.TemporaryDirectory() as folder:
        report_file = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", f"--junit-xml={report_file}", *arguments]
        return run_to_end(command, {**os.environ, **environment}), count_tests(report_file)


def count_tests(report_file: Path) -> str:
    if not report_file.exists():
        return "no tests"
    suite = next(ElementTree.parse(report_file).iter("testsuite"))
    total, skipped, failures, errors = (
        int(suite.get(name, "0")) for name in ("tests", "skipped", "failures", "errors")
    )
    broken = failures + errors
    parts = [f"{total - skipped - broken} passed"]
    parts += [f"{broken} failed"] if broken else []
    parts += [f"{skipped} skipped (reasons above)"] if skipped else []
    return ", ".join(parts)


def run_to_end(command: list[str], environment: dict[str, str]) -> int:
    """Run a command; when this run is interrupted, let the command clean up after itself too."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt as reason:
        # After Ctrl-C the command has its own SIGINT from the terminal; a second one could cut its
        # cleaning short.
        if isinstance(reason, Terminated):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


class Terminated(KeyboardInterrupt):
    """SIGTERM; unwinds as Ctrl-C does, so servers and their folders never stay behind."""


def terminate(*_: object) -> None:
    raise Terminated


def report(results: list[Result], *, required: list[str]) -> int:
    """Say what ran and what did not; return the exit code."""
    django = subprocess.run(
        [sys.executable, "-m", "django", "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"\n=== Summary (Python {sys.version.split()[0]}, Django {django})")
    for result in results:
        print(f"  {result.verdict:8} {result.database:11} {result.detail}")
    ran = {result.database for result in results if result.verdict != "skipped"}
    missing = [name for name in required if name not in ran]
    if missing:
        print(f"  Asked for but not here: {', '.join(missing)}")
    failed = missing or any(result.verdict == "failed" for result in results)
    print("FAILED" if failed else "OK", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
