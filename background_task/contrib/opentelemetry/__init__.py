"""Spans of OpenTelemetry from a call to its runs; needs the extra ``opentelemetry``.

Add ``"background_task.contrib.opentelemetry"`` to ``INSTALLED_APPS``, or call ``instrument``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["instrument", "uninstrument"]


def instrument(*, tracer_provider: Any = None) -> None:
    """Trace calls and runs of this process from now on; a second time it changes nothing.

    Args:
        tracer_provider: Who makes the spans; None is the global one.

    Raises:
        ImproperlyConfigured: The extra is not installed.
    """
    from .tracing import begin

    begin(tracer_provider)


def uninstrument() -> None:
    """Trace nothing any more."""
    from .tracing import end

    end()
