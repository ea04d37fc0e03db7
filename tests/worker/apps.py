"""An app whose worker has other constants than usual: the setting TEST_CONSTANTS names them."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class WorkerConfig(AppConfig):
    name = "tests.worker"
    label = "worker"

    def ready(self):
        for place, value in getattr(settings, "TEST_CONSTANTS", {}).items():
            module, name = place.rsplit(".", 1)
            assert hasattr(import_module(module), name)
            setattr(import_module(module), name, value)
