#!/usr/bin/env python3
"""Watch background tasks at work: `python3 example_project/demo.py`.

Needs Python 3.10 or newer and nothing else. Makes example_project/.venv, installs this checkout
with Django and Pillow there, starts the example site's real worker on a fresh SQLite database and
shows decorated calls become rows, run, fail, retry, repeat and survive a `kill -9`.

    python3 example_project/demo.py                 about half a minute, then it ends
    python3 example_project/demo.py --serve         the site, to play with, until Ctrl-C
    python3 example_project/demo.py --no-venv       in the Python that runs this file

The exit code is 0 only when everything happened as it should.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - the first thing a newcomer may run
    sys.exit(
        f"The demo needs Python 3.10 or newer, this is {sys.version.split()[0]} "
        f"({sys.executable}). Start it with a newer one, for example: python3.12 {sys.argv[0]}"
    )

import argparse
import hashlib
import importlib.util
import os
import subprocess
import time
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"
INSTALL_DEADLINE_SECONDS = 900


def main() -> int:
    """Prepare the virtual environment and run the tour in it."""
    options = parse_arguments()
    if not options.no_venv:
        rerun_in_venv()
    # This Python may have Django but not the checkout that the demo belongs to.
    if importlib.util.find_spec("background_task") is None:
        sys.path.insert(0, str(ROOT))
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), inherited]))
    for package, distribution in [("django", "Django"), ("PIL", "Pillow")]:
        if importlib.util.find_spec(package) is None:
            sys.exit(f"{distribution} is not installed here; run the demo without --no-venv.")
    from tour import serve, show

    data_dir = options.data_dir.resolve()
    if options.serve:
        return serve(data_dir=data_dir, port=options.port, browser=not options.no_browser)
    return show(data_dir=data_dir)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--serve", action="store_true", help="start the site with a worker, and open it"
    )
    parser.add_argument(
        "--port", type=int, help="port of the site on 127.0.0.1 (8000, or any that is free)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address of the site"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=HERE / "var",
        help="folder for the database, files, mail and logs; the demo starts it afresh",
    )
    parser.add_argument(
        "--no-venv", action="store_true", help="use the running Python; install nothing"
    )
    return parser.parse_args()


def rerun_in_venv() -> NoReturn:
    """Install what is missing into the virtual environment, then run this file again inside it."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = VENV / ".installed"
    wanted = fingerprint()
    if not stamp.is_file() or stamp.read_text() != wanted or not starts(python):
        install(python)
        stamp.write_text(wanted)
    command = [str(python), __file__, "--no-venv", *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.call(command))
    os.execv(python, command)


def fingerprint() -> str:
    """Return a text that changes when the virtual environment has to be made again."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in (ROOT / "pyproject.toml", REQUIREMENTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def starts(python: Path) -> bool:
    """Tell whether this interpreter runs; its base may have been removed since."""
    try:
        return subprocess.run([python, "-c", ""], check=False, timeout=60).returncode == 0
    except OSError:
        return False


def install(python: Path) -> None:
    """Make the virtual environment and install the checkout and its requirements."""
    started = time.monotonic()
    print(f"Making {VENV} with Django, Pillow and this checkout (once) ...", flush=True)
    run_or_exit(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        remedy="On Debian and Ubuntu, 'apt install python3-venv' adds the missing part of Python.",
    )
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    run_or_exit(
        [*pip, "--requirement", str(REQUIREMENTS), "--editable", str(ROOT)],
        remedy="pip needs a way to its package index (network, proxy or mirror settings).",
    )
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def run_or_exit(command: list[str], *, remedy: str) -> None:
    """Run a command silently; when it fails, show the end of its output, a remedy, and exit."""
    try:
        result = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_DEADLINE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"Not done after {INSTALL_DEADLINE_SECONDS} s: {' '.join(command)}\n{remedy}")
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-15:])
        sys.exit(f"{tail}\n\nThis failed: {' '.join(command)}\n{remedy}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
