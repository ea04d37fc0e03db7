"""Metrics for Prometheus, all of them read from the database.

So it does not matter which process is asked, nor how many workers there are, nor which of them have
been started anew. A site serves them from a view, a worker at a port; see ``views`` and ``serve``.
"""

from __future__ import annotations

try:
    from .server import serve
except ModuleNotFoundError as error:
    if error.name != "prometheus_client":
        raise
    raise ImportError(
        "background_task.contrib.prometheus needs the package prometheus-client; install it by "
        'pip install "django-background-tasks[prometheus]"'
    ) from error

__all__ = ["serve"]
