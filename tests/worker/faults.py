"""Databases that fail at a chosen moment."""

import threading
from contextlib import contextmanager
from unittest import mock

from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper


class Faults:
    """A store whose chosen verb fails.

    Args:
        store: The real store.
        verb: The name of the method.
        error: What is raised instead of, or after, what the database answered.
        times: How often.
        only_if: Called with the method's arguments.
    """

    def __init__(self, store, verb, error=None, *, times=1, only_if=None):
        self.left = times
        self.error = error or OperationalError("server closed the connection unexpectedly")
        self.only_if = only_if or (lambda *args: True)
        self._is_armed = threading.local()
        self._real = getattr(store, verb)
        setattr(store, verb, self)

    def _is_due(self, args):
        if self.left and self.only_if(*args):
            self.left -= 1
            return True
        return False


class Refused(Faults):
    """The verb fails before it changes anything."""

    def __call__(self, *args, **kwargs):
        if self._is_due(args):
            raise self.error
        return self._real(*args, **kwargs)


class ReplyLost(Faults):
    """The verb changes rows and commits, and its connection breaks before the answer arrives."""

    def __call__(self, *args, **kwargs):
        if not self._is_due(args):
            return self._real(*args, **kwargs)
        real_commit = BaseDatabaseWrapper._commit
        has_changed = is_lost = False

        def commit(wrapper):
            nonlocal is_lost
            real_commit(wrapper)
            if has_changed:
                is_lost = True
                raise self.error

        def execute(execute, sql, params, many, context):
            nonlocal has_changed, is_lost
            result = execute(sql, params, many, context)
            if is_write(sql):
                is_committed = not connection.in_atomic_block
                has_changed |= changed_rows(context["cursor"], may_fetch=is_committed) > 0
                if has_changed and is_committed:
                    is_lost = True
                    raise self.error
            return result

        with (
            mock.patch.object(BaseDatabaseWrapper, "_commit", commit),
            connection.execute_wrapper(execute),
        ):
            try:
                self._real(*args, **kwargs)
            finally:
                assert is_lost, "nothing was committed"
        raise AssertionError("the error did not come through")


def is_write(sql):
    """Tell whether a statement changes rows; it may begin with a list of those it is about."""
    words = sql.replace("FOR UPDATE", "").split()
    return words[0] in ("UPDATE", "INSERT", "DELETE") or (
        words[0] == "WITH" and ("UPDATE" in words or "DELETE" in words)
    )


def changed_rows(cursor, *, may_fetch):
    """Return how many rows a statement changed. SQLite commits once what it returns is fetched."""
    if cursor.description and may_fetch:
        return len(cursor.fetchall())
    return cursor.rowcount


class Outage:
    """Every statement of this process fails while it lasts."""

    def __init__(self):
        self.is_on = threading.Event()

    def fail(self, execute, sql, params, many, context):
        if self.is_on.is_set():
            raise OperationalError("connection refused")
        return execute(sql, params, many, context)

    @contextmanager
    def everywhere(self):
        """Also on connections that are opened later, in any thread."""
        real = BaseDatabaseWrapper.__init__
        wrapper = self.fail

        def make(self, *args, **kwargs):
            real(self, *args, **kwargs)
            self.execute_wrappers.append(wrapper)

        with (
            mock.patch.object(BaseDatabaseWrapper, "__init__", make),
            connection.execute_wrapper(wrapper),
        ):
            yield self
            self.is_on.clear()
