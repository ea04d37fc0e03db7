"""Tasks that misbehave. An app of its own, so that only the tests of misbehaviour install it."""

import asyncio
import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from django.db import DatabaseError, connection, transaction
from django.utils import timezone, translation

from background_task import background
from tests.app.models import Ledger

MEGABYTES = 10 * 1024 * 1024

RESULTS = {
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "nul": lambda: "a\x00b",
    "lone surrogate": lambda: "a\udcffb",
    "ten megabytes": lambda: "x" * MEGABYTES,
    "unserialisable object": object,
    "broken object": lambda: Broken(),
    "class": lambda: Broken,
}


class Broken:
    """Nothing can be asked of it."""

    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None

    def __bool__(self):
        raise RuntimeError("no truth")


@background
def give_back(what):
    return RESULTS[what]()


class BrokenStrError(Exception):
    def __str__(self):
        raise RuntimeError("no str")


class ExitingStrError(Exception):
    def __str__(self):
        sys.exit("from __str__")


class BrokenChainError(Exception):
    """Whoever formats its traceback, as every log handler does, is raised at."""

    @property
    def __cause__(self):
        raise RuntimeError("no cause")


class BrokenClassError(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class")


class EverythingStopsError(BaseException):
    """Neither an Exception nor anything that Python knows."""


def chain_of(length):
    error = ValueError("the first of a long chain")
    for _ in range(length):
        following = ValueError("link")
        following.__cause__ = error
        error = following
    return error


def cycle(attribute):
    first, second = ValueError("the first of a cycle"), KeyError("the second of a cycle")
    setattr(first, attribute, second)
    setattr(second, attribute, first)
    return first


def bottomless():
    return bottomless()


#: What is raised, and a piece of the text that has to be found in the recorded error.
ERRORS = {
    "nan": (lambda: ValueError(float("nan")), "ValueError: nan"),
    "nul": (lambda: ValueError("real error: a\x00b"), "real error: a\\x00b"),
    "lone surrogate": (lambda: ValueError("real error: a\udcffb"), "real error: a\\udcffb"),
    "high surrogate": (lambda: ValueError("real error: a\ud800b"), "real error: a\\ud800b"),
    "emoji": (lambda: ValueError("real error: \U0001f418"), "real error: \U0001f418"),
    "ten megabytes": (lambda: ValueError("begin" + "x" * MEGABYTES + "end"), "ValueError: begin"),
    "unserialisable object": (lambda: ValueError(object()), "ValueError: <object object at"),
    "broken str": (BrokenStrError, "BrokenStrError"),
    "exiting str": (ExitingStrError, "ExitingStrError"),
    "broken chain": (BrokenChainError, "BrokenChainError"),
    "broken class": (BrokenClassError, "BrokenClassError"),
    "cycle of causes": (lambda: cycle("__cause__"), "the first of a cycle"),
    "cycle of contexts": (lambda: cycle("__context__"), "the first of a cycle"),
    "long chain": (lambda: chain_of(5000), "link"),
    "endless recursion": (bottomless, "RecursionError"),
    "system exit": (lambda: SystemExit("real error"), "SystemExit: real error"),
    "system exit 0": (lambda: SystemExit(0), "SystemExit: 0"),
    "keyboard interrupt": (lambda: KeyboardInterrupt("real error"), "KeyboardInterrupt"),
    "generator exit": (lambda: GeneratorExit("real error"), "GeneratorExit: real error"),
    "cancelled": (lambda: asyncio.CancelledError("real error"), "CancelledError"),
    "base exception": (lambda: EverythingStopsError("real error"), "EverythingStopsError"),
    "stop iteration": (lambda: StopIteration("real error"), "StopIteration: real error"),
    "memory": (lambda: MemoryError("real error"), "MemoryError: real error"),
}


@background
def throw(what):
    raise ERRORS[what][0]()


@background
async def throw_later(what):
    raise ERRORS[what][0]()


# -- what tasks leave behind ----------------------------------------------------------------------


def leave_autocommit_off():
    transaction.set_autocommit(False)
    Ledger.objects.create(key="uncommitted")


def leave_transaction_open():
    transaction.atomic().__enter__()
    Ledger.objects.create(key="uncommitted")


def leave_two_transactions_open():
    transaction.atomic().__enter__()
    transaction.atomic().__enter__()
    Ledger.objects.create(key="uncommitted")


def leave_raw_transaction_open():
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Ledger.objects.create(key="uncommitted")


def leave_broken_raw_transaction_open():
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        with suppress(DatabaseError):
            cursor.execute("SELECT * FROM there_is_no_such_table")


def leave_doomed_transaction_open():
    transaction.atomic().__enter__()
    transaction.set_rollback(True)


def leave_commit_hook():
    transaction.atomic().__enter__()
    transaction.on_commit(lambda: Ledger.objects.create(key="hook of a dead transaction"))


def close_connection():
    connection.close()


def close_connection_in_transaction():
    transaction.atomic().__enter__()
    connection.close()


def close_driver_connection():
    connection.ensure_connection()
    connection.connection.close()


def drop_driver_connection_in_transaction():
    transaction.atomic().__enter__()
    connection.connection.close()


def close_stdout():
    sys.stdout.close()


def close_stderr():
    sys.stderr.close()


def change_directory():
    os.chdir(tempfile.gettempdir())


def change_to_removed_directory():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)


def activate_zone():
    timezone.activate("Asia/Tokyo")


def activate_language():
    translation.activate("de")


MESSES = {
    function.__name__: function
    for function in (
        leave_autocommit_off,
        leave_transaction_open,
        leave_two_transactions_open,
        leave_raw_transaction_open,
        leave_broken_raw_transaction_open,
        leave_doomed_transaction_open,
        leave_commit_hook,
        close_connection,
        close_connection_in_transaction,
        close_driver_connection,
        drop_driver_connection_in_transaction,
        close_stdout,
        close_stderr,
        change_directory,
        change_to_removed_directory,
        activate_zone,
        activate_language,
    )
}


@background
def mess(what):
    MESSES[what]()


@background
def mess_and_throw(what):
    MESSES[what]()
    raise ValueError("real error after a mess")


@background
def close_descriptor_of_stdout():
    os.close(1)


@background
def exit_process(code):
    os._exit(code)


@background
def probe(key):
    """Write down in what state the task found the process."""
    print("probe", key, flush=True)  # noqa: T201 - a closed stdout would raise
    state = {
        "in_atomic_block": connection.in_atomic_block,
        "autocommit": connection.get_autocommit(),
        "needs_rollback": connection.needs_rollback,
        "directory": os.getcwd(),
        "zone": timezone.get_current_timezone_name(),
        "language": translation.get_language(),
    }
    Ledger.objects.create(key=key)
    Path(os.environ["HOSTILE_FOLDER"], key).write_text(json.dumps(state))


@background
def echo(*args, **kwargs):
    """Write down what arrived, in a form that shows NaN, NUL and surrogates."""
    Path(os.environ["HOSTILE_FOLDER"], "echo").write_text(ascii((args, kwargs)))
