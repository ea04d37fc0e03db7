"""Waiting for the site to answer."""

from __future__ import annotations

import time
import urllib.request
from contextlib import suppress

from tour.process import Process

START_DEADLINE_SECONDS = 30


def wait_for_site(site: Process, *, port: int) -> bool:
    """Tell whether the site answered before it ended or the deadline passed."""
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    # An address on this machine is never behind the proxy that the environment may name.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while site.is_running and time.monotonic() < deadline:
        with suppress(OSError), opener.open(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return bool(response.status == 200)
        time.sleep(0.1)
    return False
