"""The database's clock.

What is due, expired or dead is decided by the clock that all workers share, so a host whose clock
is wrong neither runs tasks early nor takes them from the living.
"""

from __future__ import annotations

from datetime import datetime, timezone

from django.conf import settings
from django.db import connections
from django.utils import timezone as django_timezone

#: Statements that return the present moment: aware, or naive in UTC.
STATEMENTS = {
    "postgresql": "SELECT clock_timestamp()",
    "mysql": "SELECT UTC_TIMESTAMP(6)",
}


def read_clock(using: str) -> datetime:
    """Return the database's current time, as the project's models hold times.

    SQLite has no clock of its own: it is a file on this host, and so is the clock.
    """
    connection = connections[using]
    statement = STATEMENTS.get(connection.vendor)
    if statement is None:
        return django_timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        moment: datetime = cursor.fetchone()[0]
    if moment.tzinfo is None and connection.vendor == "postgresql":
        return moment  # without USE_TZ its driver already gives local time
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    if settings.USE_TZ:
        return moment.astimezone(timezone.utc)
    return django_timezone.make_naive(moment, django_timezone.get_default_timezone())
