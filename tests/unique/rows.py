"""Functions with a unique key, and what to ask of their rows."""

from datetime import datetime, timedelta, timezone

from background_task.models import Task
from background_task.tasks import Tasks

#: Far enough ahead that no clock matters.
SOON = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
LATER = SOON + timedelta(hours=5)
NAMES = ("known",)


def sync(user_id, kind="all"):
    return (user_id, kind)


def unique(**options):
    """A function of which, with its arguments, there is one at a time."""
    return Tasks().background(name="known", **{"unique": True, **options})(sync)


def waiting():
    return Task.objects.filter(locked_by=None)


def keys():
    """The first parts of the keys that are there: on MariaDB a key ends with the row's uid."""
    found = Task.objects.exclude(unique_key=None).values_list("unique_key", flat=True)
    return sorted(key[:40] for key in found)
