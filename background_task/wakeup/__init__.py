"""How an idle worker waits, and how producers end its wait."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import connections, transaction

from . import listen_notify
from .base import Wakeup
from .data_version import DataVersion
from .listen_notify import ListenNotify
from .polling import Polling

__all__ = ["Polling", "Wakeup", "make_wakeup", "notify", "notify_after_commit"]


def make_wakeup(using: str, polling: Polling) -> Wakeup:
    """Return what suits a database; the database is not asked yet.

    Inside a transaction, as in a ``TestCase``, nobody else's rows can be seen: it polls.
    """
    connection: Any = connections[using]
    if connection.in_atomic_block:
        return Wakeup(using, polling)
    if connection.vendor == "postgresql":
        return ListenNotify(using, polling)
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():
        return DataVersion(using, polling)
    return Wakeup(using, polling)


def notify(using: str) -> None:
    """Wake the idle workers of a database where they would not notice by themselves.

    To be called after the commit of what they are to find. At most one statement in 50 ms per
    process and database, none inside a transaction. What is committed in between is found too:
    whoever was woken stays awake for longer than that. Any thread may call it, and a forked
    process. It never raises an error of the database.
    """
    if connections[using].vendor == "postgresql":
        listen_notify.notify(using)


def notify_after_commit(using: str) -> None:
    """Call ``notify`` once the caller's transaction is committed; at once if there is none.

    Once per group of rows is enough. In a transaction that Django does not manage (autocommit is
    off) nobody tells when it is committed: workers find the rows by looking.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    if connection.in_atomic_block or connection.get_autocommit():
        transaction.on_commit(partial(notify, using), using=using, robust=True)
