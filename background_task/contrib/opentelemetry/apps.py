"""The app that traces all that a project queues and runs."""

from __future__ import annotations

from django.apps import AppConfig

from . import instrument


class OpenTelemetryConfig(AppConfig):
    """Turns tracing on when Django starts."""

    name = "background_task.contrib.opentelemetry"
    label = "background_task_opentelemetry"
    verbose_name = "Tracing of background tasks"

    def ready(self) -> None:
        """Trace from now on."""
        instrument()
