"""The Django app that the tests schedule work for."""

import os

from django.apps import AppConfig
from django.db.backends.signals import connection_created


def skip_fsync(*, connection, **kwargs):
    """Commits reach the operating system, as a killed process needs, but not the platter."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous = OFF")


class TestAppConfig(AppConfig):
    name = "tests.app"
    label = "testapp"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        if not os.environ.get("BACKGROUND_TASK_TEST_DURABLE"):
            connection_created.connect(skip_fsync, dispatch_uid="tests.app.skip_fsync")
