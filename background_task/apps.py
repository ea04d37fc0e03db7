"""Django's entry point into the app."""

from __future__ import annotations

from django.apps import AppConfig

from . import __version__


class BackgroundTasksAppConfig(AppConfig):
    """Pins the primary key type, so that no project's default can invent a migration."""

    name = "background_task"
    verbose_name = f"Background Tasks ({__version__})"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what must listen from the start: signals, checks, and the worker in here."""
        from . import checks, embedded_worker, signals  # noqa: F401

        embedded_worker.install()
