"""How fast calls are stored."""

from __future__ import annotations

from typing import Any

from ..bench import Bench
from ..peers import Peer


def store(bench: Bench, peer: Peer, kind: str, verb: str, count: int) -> dict[str, Any]:
    """Store calls in one process: `enqueue`, `bulk`, or `save` for bare rows."""
    with bench.project(peer, kind, "default") as project:
        return project.client(verb, count)
