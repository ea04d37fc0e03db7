"""A function and its finish in one transaction: its effects on the database happen exactly once."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from django.db import Error, transaction

from ..attempt import Claim, Settled, Succeeded
from ..exceptions import BackgroundTaskError
from ..store import Finish, Store
from .control import Backoff, Control
from .hygiene import close_connections

#: For how long a commit whose confirmation was lost is looked for outside a worker.
TRIES_WITHOUT_WORKER = 5


class ClaimLostError(BackgroundTaskError):
    """Others have taken the task over: what it has written must not be committed."""


class Block:
    """The transaction of one run.

    Two rivals: this run, and a recovery that takes its worker for dead. Both finish the row, with
    the claim's number as the fence. Whoever commits first changes it; the other finds it changed.
    If that is this run, everything it has written goes back.

    Args:
        claim: The row.
        store: Where it is, and where the transaction is.
    """

    def __init__(self, claim: Claim, store: Store) -> None:
        self._claim = claim
        self._store = store
        self._finish: Finish | None = None
        self._stack = ExitStack()
        self._is_lost = False

    def __enter__(self) -> None:
        """Begin the transaction."""
        with self._stack as stack:
            stack.enter_context(transaction.atomic(using=self._store.using))
            self._lost_if(not self._store.begin_writing(self._claim))
            self._stack = stack.pop_all()

    def finish(self, outcome: Succeeded) -> None:
        """Record the end, as the last statement of the transaction.

        Raises:
            ClaimLostError: The row is not this run's any more.
        """
        self._finish = self._store.finish(self._claim, outcome)
        self._lost_if(self._finish is None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit, or roll everything back."""
        self._stack.__exit__(kind, error, traceback)

    def settled(self, *, control: Control | None) -> Settled | None:
        """Return what the transaction has come to after an error; None if it was rolled back.

        A commit may have happened although its confirmation did not arrive. The archive tells.

        Args:
            control: The worker's orders: as long as there is time, a database that is away is
                waited for.
        """
        if self._is_lost:
            return Settled(None)
        if self._finish is None or self._store.in_transaction():
            return None
        backoff = Backoff(longest=1.0)
        while True:
            try:
                found = self._store.find_finish(self._claim, Succeeded())
            except Error:
                close_connections()
                pause = backoff.next()
                if control is None and backoff.failures >= TRIES_WITHOUT_WORKER:
                    return None
                if control is not None and not (control.remaining() > 0 and control.sleep(pause)):
                    return None
            else:
                return None if found is None else Settled(self._finish)

    def committed(self) -> Settled:
        """Return what the transaction has come to."""
        return Settled(self._finish)

    def _lost_if(self, is_lost: bool) -> None:
        if is_lost:
            self._is_lost = True
            raise ClaimLostError(f"{self._claim} was taken over by others")
