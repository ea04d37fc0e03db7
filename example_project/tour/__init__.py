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


def run(*, data_dir: Path, serve: bool, port: int) -> int:
    """Show everything and return the exit code.

    Args:
        data_dir: Folder for everything the demo writes; what an earlier demo left is removed.
        serve: Whether to run the site too and keep it up until Ctrl-C.
        port: The site's port on 127.0.0.1, 0 for any free one.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = "example.settings"
    os.environ["EXAMPLE_DATA_DIR"] = str(data_dir)
    os.environ["EXAMPLE_LEASE_SECONDS"] = str(LEASE_SECONDS)
    # Being told to end (by a supervisor, or a closed terminal) still stops what was started.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), exit_on_signal)
    if serve:
        port = free_port(port)
    data_dir.mkdir(parents=True, exist_ok=True)
    with only_demo_in(data_dir):
        remove_earlier_demo(data_dir)
        import django

        django.setup()
        from tour.story import tell

        return tell(log_dir=data_dir, port=port if serve else None)


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Turn a signal into the exit code a shell would give it."""
    sys.exit(128 + number)


def free_port(port: int) -> int:
    """Return the port, or any free one for 0; exit with a message when it is taken."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            sys.exit(f"Port {port} on 127.0.0.1 cannot be used ({error}). Try --port 0.")
        return int(server.getsockname()[1])


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
