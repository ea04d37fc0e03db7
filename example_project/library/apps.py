"""Configuration of the library app."""

from django.apps import AppConfig


class LibraryConfig(AppConfig):
    """The example's only app."""

    name = "library"
    default_auto_field = "django.db.models.BigAutoField"
