"""Faults for a task function: is it safe to be run again?

A task is started at least once: its worker may die at any moment, and another one begins anew.
Whether that does harm, only a test of the function itself can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..exceptions import BackgroundTaskError
from .rehearsal import Fault, Rehearsal, refuse_transaction
from .tracer import AFTER, Tracer

__all__ = ["Fault", "killed_at_each_commit", "killed_at_each_statement", "lost_lease", "run_twice"]

UNDISTURBED = "undisturbed"


def run_twice(function: Any, /, *args: Any, **kwargs: Any) -> Fault:
    """Let a call be run twice: its worker dies after the function, before its end is recorded.

    Works inside a transaction, too. With ``atomic=True`` the first run is rolled back.
    A task of ``django.tasks`` has to have more than one attempt, as workers give it no second run
    else: ``run_twice(charge.using(max_attempts=2), ...)``.

    Args:
        function: The task function.
        *args: Positional arguments of the call; one that can be called is called for its value.
        **kwargs: Keyword arguments, likewise.

    Raises:
        BackgroundTaskError: It has no second attempt.
        BaseException: What the function raises, in one run or the other.
    """
    rehearsal = Rehearsal(function, args, kwargs)
    rehearsal.run_in_vain()
    rehearsal.hand_over()
    fault = rehearsal.fault("run twice")
    if fault.status == "failed" and not fault.runs:
        raise BackgroundTaskError(
            f"{rehearsal} has one attempt, so it was not run a second time; use it with "
            ".using(max_attempts=2) to see what would happen if it were"
        )
    return fault


def killed_at_each_commit(function: Any, /, *args: Any, **kwargs: Any) -> Iterator[Fault]:
    """Run a call again and again, each time with a worker that is killed at another commit.

    First undisturbed. Then the worker is killed before, and after, each commit, be it one of the
    function, to whatever database, or that of the record of its end. What is open is rolled back,
    no ``on_commit`` callback is called, nothing reaches a database any more. The task is recovered,
    and run to its end. In the loop over these calls, check what has to be true of each::

        for fault in killed_at_each_commit(charge, lambda: make_order().pk):
            self.assertEqual(Payment.objects.filter(order=fault.args[0]).count(), 1, fault)

    In this process and thread, one after the other; but not inside a transaction, in which nothing
    is committed. What the function does on threads of its own is not watched.

    A task that has only one attempt has failed when its worker is dead: ``Fault.status`` says so.
    One of ``django.tasks`` of which nobody has said how often it may be tried is refused: use
    ``charge.using(max_attempts=2)``.

    Args:
        function: The task function.
        *args: Positional arguments of the calls. One that can be called is called for its value
            before each call, so that none finds what another has left.
        **kwargs: Keyword arguments, likewise.

    Yields:
        Each call, when it has come to its end.

    Raises:
        BackgroundTaskError: This is inside a transaction; nobody has said how often a task of
            ``django.tasks`` may be tried; or a run has fewer commits than the
            undisturbed one had, perhaps because it found what that had left.
        BaseException: What the function raises.
    """
    return _killed(function, args, kwargs, each_statement=False)


def killed_at_each_statement(function: Any, /, *args: Any, **kwargs: Any) -> Iterator[Fault]:
    """Do the same before each statement of the function, too, those that only read among them.

    For functions that do more than writing to databases, and takes longer. See
    ``killed_at_each_commit``.
    """
    return _killed(function, args, kwargs, each_statement=True)


def lost_lease(function: Any, /, *args: Any, **kwargs: Any) -> Iterator[Fault]:
    """Run a call again and again, each time with a worker that loses its task to another one.

    First undisturbed. Then the worker stands still before the function, and after each of its
    commits, and is taken for dead. Another one runs the task to its end. Then the first one goes
    on: the record of its end is refused, and the last of ``Fault.runs`` has the status ``"lost"``.
    But what its function has written stays, unless it has ``atomic=True``.

    All else is as for ``killed_at_each_commit``. What the function raises after that is not raised,
    but ``exception`` of that run.
    """
    refuse_transaction()
    whole = Tracer(act=_nothing, sides=(AFTER,))
    rehearsal = Rehearsal(function, args, kwargs)
    rehearsal.run(whole)
    yield rehearsal.fault(UNDISTURBED)
    for number in range((whole.of_function or 0) + 1):
        rehearsal = Rehearsal(function, args, kwargs)
        tracer = Tracer(number or None, rehearsal.take_over, sides=(AFTER,))
        with _noting("lost", tracer):
            if number == 0:
                rehearsal.take_over()
            rehearsal.run(tracer)
        if not tracer.has_acted:
            raise _unlike(rehearsal, tracer, number)
        yield rehearsal.fault(f"lost {tracer.place}")


def _nothing() -> None:
    """Stand in for what happens at a point."""


def _killed(function: Any, args: Any, kwargs: Any, *, each_statement: bool) -> Iterator[Fault]:
    refuse_transaction()
    whole = Tracer(each_statement=each_statement)
    rehearsal = Rehearsal(function, args, kwargs)
    rehearsal.run(whole)
    yield rehearsal.fault(UNDISTURBED)
    for number in range(1, len(whole.points) + 1):
        rehearsal = Rehearsal(function, args, kwargs)
        tracer = Tracer(number, each_statement=each_statement)
        rehearsal.run(tracer)
        if not tracer.is_dead:
            raise _unlike(rehearsal, tracer, number)
        with _noting("killed", tracer):
            rehearsal.hand_over()
        yield rehearsal.fault(f"killed {tracer.place}")


@contextmanager
def _noting(what: str, tracer: Tracer) -> Iterator[None]:
    """Say of an error in which of the calls it was raised; before Python 3.11 nothing can."""
    try:
        yield
    except Exception as error:
        if tracer.has_acted and hasattr(error, "add_note"):
            error.add_note(f"run again after its worker was {what} {tracer.place}")
        raise


def _unlike(rehearsal: Rehearsal, tracer: Tracer, number: int) -> BackgroundTaskError:
    return BackgroundTaskError(
        f"the undisturbed run of {rehearsal} had a point {number}, and this one ended after "
        f"{len(tracer.points)}: it found what a run before it has left; undo that at the end of "
        "the loop, or give a function that makes arguments for a new call"
    )
