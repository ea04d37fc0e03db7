"""PostgreSQL: producers wake idle workers, and only idle ones, through LISTEN and NOTIFY.

Who is idle is known without a table: an idle worker holds a shared advisory lock. A producer that
has committed tries to take the same lock for itself and alone. If it gets it, nobody is idle and
there is nobody to wake; if it does not, it notifies.

No wake-up is lost, because each side first shows itself and then looks at the other (as in Dekker's
algorithm). The worker takes the lock, *then* looks at the queue once more, then waits. The producer
commits its row, *then* tests the lock. Whichever comes second sees the first: either the worker's
look finds the row, or the producer's test finds the lock, and the notification ends the wait.

A producer does not test for each row. It tests at most once in ``INTERVAL_SECONDS`` and is silent
for the rest of the interval, which makes a burst of rows cost one statement. A row that is
committed in silence follows a test that was made less than an interval before. If that test found
the lock, its notification reached the worker; if it did not, the worker took the lock after it. So
such a row is committed less than an interval after the worker was last notified or took its lock,
and the worker finds it by looking once more ``SETTLE_SECONDS`` after those. Only after that look
does it rely on notifications alone.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any

from django.db import Error, connections

from .. import telemetry
from .base import Patience, Wakeup
from .listener import CHANNEL, Listener
from .polling import Polling

logger = logging.getLogger(__name__)

#: A process tests for idle workers, and notifies them, once in so long.
INTERVAL_SECONDS = 0.05
#: After a notification, and after taking its lock, a worker looks once more; see above.
SETTLE_SECONDS = 0.06
#: A worker that has just had work looks at short intervals before it takes the trouble to lock.
QUICK_SECONDS = 0.05
#: How long the notification to oneself may take that proves that they arrive.
PROBE_SECONDS = 1.0
#: Between attempts to connect, and between proofs that fail: a pooler is mostly there to stay, but
#: a server that was only slow should not be polled for ever.
LONGEST_RETRY_SECONDS, NEXT_PROBE_SECONDS = 60.0, 600.0
#: So many attempts to connect fail before it is said; a server that restarts is back by then.
TELL_AFTER = 3

#: The key of the advisory lock: "bg_t", and the number of its purpose.
KEY = "1650941812, 1"
LOCK = f"SELECT pg_try_advisory_lock_shared({KEY})"
UNLOCK = f"SELECT pg_advisory_unlock_shared({KEY})"
NOTIFY = f"SELECT pg_notify('{CHANNEL}', '') WHERE NOT pg_try_advisory_xact_lock({KEY})"
PROBE = f"SELECT pg_notify('{CHANNEL}', %s)"

POOLER_REMEDY = (
    "let workers connect to PostgreSQL directly, or through a pooler in session mode; meanwhile "
    "new tasks are found by looking, at the latest after --sleep"
)
CONNECTION_REMEDY = (
    "a worker needs one more connection for them; meanwhile new tasks are found by looking, at the "
    "latest after --sleep"
)

#: Alias -> when this process last tested for idle workers. Not locked: two threads that come at the
#: same moment test once each, which does no harm; a lock that was held during a fork would.
_tested_at: dict[str, float] = {}


def notify(using: str) -> None:
    """Wake the idle workers of a database, if there are any.

    To be called after the commit, on the connection that committed. At most one statement in
    ``INTERVAL_SECONDS`` per process and database. Past Django's cursors: it belongs to nobody's
    count of queries. Never raises an error of the database, because what the caller did has
    happened; a worker that is not woken looks by itself.
    """
    connection: Any = connections[using]
    now = time.monotonic()
    if now - _tested_at.get(using, -math.inf) < INTERVAL_SECONDS or not _is_free(connection):
        return
    _tested_at[using] = now  # before the test: what is committed after the test is not covered
    try:
        with connection.connection.cursor() as cursor:
            cursor.execute(NOTIFY)
    except connection.Database.Error as error:
        _tested_at.pop(using, None)
        connection.errors_occurred = True  # Django checks it before it is used again
        logger.warning(
            "Could not wake idle workers of database %r (%s); they find the task by looking",
            using,
            error,
        )


def _is_free(connection: Any) -> bool:
    """Tell whether a statement on this connection would be a transaction of its own.

    Inside another one the notification would wait for its end, and so would the lock.
    """
    driver = connection.connection
    if driver is None or driver.closed or connection.in_atomic_block:
        return False
    # libpq's 0: idle. Otherwise somebody has begun a transaction of which Django does not know.
    return bool(connection.get_autocommit() and driver.info.transaction_status == 0)


class ListenNotify(Wakeup):
    """Waits for notifications on a connection of its own, opened by the first ``arm``.

    Notifications are used once one to itself has arrived, which none does through a pooler that
    gives each transaction another connection. Until then, and whenever the connection is lost, it
    polls. A lost connection is opened again.

    Args:
        using: The alias of the database.
        polling: What ends a wait from within this process.
        clock: For tests.
    """

    def __init__(
        self, using: str, polling: Polling, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(using, polling)
        self._clock = clock
        self._listener: Listener | None = None
        self._probe: str | None = None
        self._probe_until = self._settles_at = 0.0
        self._worked_at = self._polled_since = self._retry_at = -math.inf
        self._is_armed = self._is_settled = self._is_told = False
        self._failures = 0
        self._patience = Patience()

    def arm(self) -> None:
        """Let producers know of this worker; soon after work it leaves that to a later ``wait``."""
        now = self._clock()
        if self._is_armed or now - self._worked_at < QUICK_SECONDS:
            return
        try:
            if self._listener is None and now >= self._retry_at:
                self._open()
            if self._listener is not None and self._probe is None:
                # Tried: a producer has the lock for as long as its test takes. But nobody shall be
                # able to make a worker wait.
                self._is_armed = bool(self._listener.execute(LOCK))
        except Error as error:
            self._lose(error)
        self._settles_at = self._clock() + SETTLE_SECONDS
        self._is_settled = False

    def disarm(self) -> None:
        """Let producers know that this worker will look by itself."""
        self._worked_at = self._polled_since = self._clock()
        self._patience.reset()
        if self._is_armed and self._listener is not None:
            self._is_armed = False
            try:
                self._listener.execute(UNLOCK)
            except Error as error:
                self._lose(error)

    def wait(self, seconds: float) -> None:
        """Wait for a notification; then arm, if that is yet to be done, for the look to come."""
        until = self._clock() + seconds
        was_proving = self._probe is not None
        is_notified = self._has_news()
        is_proved = was_proving and self._probe is None  # then nobody knows of this worker yet
        if not is_notified and not is_proved:
            self._wait_for_news(seconds)
            is_notified = self._has_news()
        if is_notified:
            rest = min(self._patience.rest(self._clock()), until - self._clock())
            if rest > 0:
                self.polling.wait(rest)
            self._patience.count(self._clock())
        self.arm()
        self._is_settled = self._is_armed and self._clock() >= self._settles_at

    def longest_pause(self, idle_seconds: float, sleep: float) -> float:
        """Return ``sleep`` once notifications can be relied upon."""
        if not self._is_armed:
            # However long it was idle: between being told and being told again it is attentive.
            idle_seconds = min(idle_seconds, self._clock() - self._polled_since)
            return super().longest_pause(idle_seconds, sleep)
        return sleep if self._is_settled else min(sleep, SETTLE_SECONDS)

    def close(self) -> None:
        """Close the connection; the server lets go of the lock."""
        if self._listener is not None:
            self._listener.close()
        self._listener = self._probe = None
        self._is_armed = self._is_settled = False

    # -- the connection -------------------------------------------------------------------------

    def _open(self) -> None:
        """Connect, and send the notification that proves that others arrive."""
        self._listener = Listener(self.using)
        self._probe = secrets.token_hex(8)
        self._probe_until = self._clock() + PROBE_SECONDS
        with connections[self.using].cursor() as cursor:
            cursor.execute(PROBE, [self._probe])

    def _wait_for_news(self, seconds: float) -> None:
        if self._listener is not None:
            try:
                self.polling.wait(seconds, beside=self._listener.fileno())
                return
            except (Error, OSError, ValueError) as error:  # the descriptor is gone or not valid
                self._lose(error)
        self.polling.wait(seconds)

    def _has_news(self) -> bool:
        """Read what has arrived; return whether a producer has notified."""
        if self._listener is None:
            return False
        try:
            payloads = self._listener.heard()
        except Error as error:
            self._lose(error)
            return False
        if self._probe is not None:
            self._judge(payloads)
        has_news = "" in payloads  # others are proofs of other workers
        if has_news:
            self._settles_at = self._clock() + SETTLE_SECONDS
        return has_news

    def _judge(self, payloads: list[str]) -> None:
        """Find out whether notifications arrive."""
        if self._probe in payloads:
            self._probe = None
            self._failures = 0
            self._polled_since = self._clock()
        elif self._clock() >= self._probe_until:
            self.close()
            self._retry_at = self._clock() + NEXT_PROBE_SECONDS
            self._tell(
                "they do not arrive through what seems to be a transaction pooler",
                remedy=POOLER_REMEDY,
            )

    def _lose(self, error: BaseException) -> None:
        """Do without the connection; the first attempt to replace it comes at once."""
        self.close()
        self._failures += 1
        pause = 0.0 if self._failures == 1 else 2.0 ** min(self._failures - 2, 16)
        self._retry_at = self._clock() + min(LONGEST_RETRY_SECONDS, pause)
        if self._failures >= TELL_AFTER:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            self._tell(reason, remedy=CONNECTION_REMEDY)

    def _tell(self, reason: str, *, remedy: str) -> None:
        if not self._is_told:
            self._is_told = True
            telemetry.event("no_notify", using=self.using, reason=reason, remedy=remedy)
