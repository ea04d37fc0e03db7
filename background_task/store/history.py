"""Whether a database has ever been one of version 1.x."""

from __future__ import annotations

from datetime import timedelta

from django.db import ProgrammingError, connections
from django.db.migrations.recorder import MigrationRecorder

from ..recurrence.zone import instant
from .archive import Archive

#: The last migration that a database of 1.x may have been made by, and the first of this version.
#: Who installs this version anew applies both at once.
FIRST, OWN = "0001_initial", "0003_wider_keys"
AT_ONCE = timedelta(hours=1)


def is_new_project(using: str) -> bool:
    """Tell whether the tables of a database were made by this version, for sure.

    If there is a doubt it is False: migrations are not recorded, or 1.x made the tables, or the
    archive has rows from before the tables, which came from another database.
    """
    recorder = MigrationRecorder(connections[using])
    try:
        if not recorder.has_table():
            return False
        found = recorder.migration_qs.filter(app="background_task", name__in=(FIRST, OWN))
        applied = {name: instant(moment) for name, moment in found.values_list("name", "applied")}
    except ProgrammingError:  # this user may not read it
        return False
    if set(applied) != {FIRST, OWN} or abs(applied[OWN] - applied[FIRST]) > AT_ONCE:
        return False
    oldest = Archive(using).oldest()
    return oldest is None or instant(oldest) >= applied[FIRST] - AT_ONCE
