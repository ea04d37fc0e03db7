"""The metrics at a port of a worker."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric

from .metrics import DatabaseCollector


class ClosingCollector(DatabaseCollector):
    """Closes its thread's connections each time: each scrape has a thread of its own."""

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        try:
            yield from list(super().collect())
        finally:
            connections.close_all()


def serve(port: int, address: str = "127.0.0.1", *, using: str | None = None) -> int:
    """Serve the metrics from a thread of this process, until the process ends.

    Args:
        port: Where; 0 for any that is free.
        address: Where; the default can only be reached from this machine.
        using: The alias of the database; None for the one that tasks are written to.

    Returns:
        The port.

    Raises:
        OSError: It cannot be had.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ClosingCollector(using))
    server, _ = start_http_server(port, addr=address, registry=registry)
    return int(server.server_port)
