"""The story that demo.py shows, told with the example site's real code, worker and database."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: The demo shows a crash, and nobody wants to wait the usual minute for the recovery.
LEASE_SECONDS = 6


#: Where the site is, unless that is taken or another port is asked for.
USUAL_PORT = 8000


def show(*, data_dir: Path) -> int:
    """Show a worker at its work and return the exit code.

    Args:
        data_dir: Folder for everything the demo writes; what an earlier demo left is removed.
    """
    with prepared(data_dir):
        from tour.story import tell

        return tell(log_dir=data_dir)


def serve(*, data_dir: Path, port: int | None, browser: bool) -> int:
    """Run the site with a worker until Ctrl-C and return the exit code.

    Args:
        data_dir: Folder for everything the demo writes; what an earlier demo left is removed.
        port: The site's port on 127.0.0.1; None for the usual one, or a free one if that is taken.
        browser: Whether to open the site in a browser.
    """
    port = free_port(port)
    os.environ["EXAMPLE_DEMO"] = "1"
    with prepared(data_dir):
        from tour.serving import keep_serving

        return keep_serving(log_dir=data_dir, port=port, browser=browser)


@contextmanager
def prepared(data_dir: Path) -> Iterator[None]:
    """Set Django up on an empty folder."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "example.settings"
    os.environ["EXAMPLE_DATA_DIR"] = str(data_dir)
    os.environ["EXAMPLE_LEASE_SECONDS"] = str(LEASE_SECONDS)
    # Being told to end (by a supervisor, or a closed terminal) still stops what was started.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), exit_on_signal)
    # A shell that starts this in the background has it ignore Ctrl-C's signal, which stops it here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data_dir.mkdir(parents=True, exist_ok=True)
    with only_demo_in(data_dir):
        remove_earlier_demo(data_dir)
        import django

        django.setup()
        yield


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Turn a signal into the exit code a shell would give it."""
    sys.exit(128 + number)


def free_port(asked: int | None) -> int:
    """Return a port that is free; exit with a message when the one that was asked for is taken."""
    for port in [USUAL_PORT, 0] if asked is None else [asked]:
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as error:
                reason = error
            else:
                return int(server.getsockname()[1])
    sys.exit(
        f"Port {asked} on 127.0.0.1 cannot be used ({reason}). Leave --port out for a free one."
    )


@contextmanager
def only_demo_in(data_dir: Path) -> Iterator[None]:
    """Exit when another demo uses this folder, whose files this one would remove."""
    try:
        import fcntl
    except ImportError:  # Windows, where files in use cannot be removed anyway
        yield
        return
    with (data_dir / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"Another demo runs in {data_dir}. Stop it, or give this one a --data-dir.")
        yield


def remove_earlier_demo(data_dir: Path) -> None:
    """Remove the files that the example site writes, and nothing else."""
    for name in ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm", "worker.log", "site.log"):
        (data_dir / name).unlink(missing_ok=True)
    for name in ("media", "mail"):
        if (data_dir / name).is_dir():
            shutil.rmtree(data_dir / name)
