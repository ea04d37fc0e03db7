"""The example site with a worker beside it, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from pathlib import Path

from django.contrib.auth import get_user_model

from tour.process import Processes
from tour.site import wait_for_site
from tour.story import prepare
from tour.terminal import Terminal

#: One of them may be made to crash, and the other goes on meanwhile.
WORKERS, THREADS = 2, 3


def keep_serving(*, log_dir: Path, port: int, browser: bool) -> int:
    """Run the site and its workers until Ctrl-C; return the exit code.

    Args:
        log_dir: Folder for the output of the workers and the site.
        port: The site's port on 127.0.0.1.
        browser: Whether to open the site in a browser.
    """
    terminal = Terminal()
    address = f"http://127.0.0.1:{port}/"
    with Processes(log_dir=log_dir) as processes:
        prepare(terminal)
        get_user_model().objects.create_superuser("admin", "admin@example.org", "admin")
        site = processes.start_site(port=port)
        processes.start_worker(threads=THREADS, workers=WORKERS)
        if not wait_for_site(site, port=port):
            terminal.line(f"The site did not start:\n{site.log_tail()}")
            return 1
        terminal.line()
        terminal.line(f"  The site       {address}")
        terminal.line(f"  Break things   {address}trouble/")
        terminal.line(f"  The dashboard  {address}admin/background_task/dashboard/")
        terminal.line()
        terminal.line("Whoever opens it on this machine is the user admin, a superuser.")
        terminal.line(f"Two workers run beside it and write to {log_dir / 'worker.log'}.")
        terminal.line("Ctrl-C stops the site and the workers.")
        if browser and has_screen():
            webbrowser.open(address)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            terminal.line("Stopping the site and the workers ...")
    return 0


def has_screen() -> bool:
    """Tell whether a browser would have a window; one in this terminal would be in the way."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
