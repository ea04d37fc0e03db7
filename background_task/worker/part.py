"""The parts of a worker: which functions run on which executor, and how much to claim for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from ..attempt import Claim, Outcome, Settled
from ..registry import Registry
from ..store import Store
from ..store.wanted import NO_BACKENDS
from .admission import Admission
from .aio import AsyncExecutor, CoroutineExecutor
from .control import Control
from .executors import Executor, InlineExecutor, ThreadExecutor
from .fair import Shares
from .finish import End
from .lanes import LANES
from .options import Options
from .pace import Pace
from .served import served
from .terms import fragile_names

#: Two claims in a row that find nothing and take longer than this have looked at many rows. During
#: one alone the machine may have stood still.
LONG_SECONDS = 0.005
#: How often a claim is repeated at once in the place of what a limit has put aside.
MOST_ROUNDS = 20
#: It is repeated after so many times what it took, while others are busy.
REST = 20
#: What does not kill its worker within this time is not waited for.
TRIAL_SECONDS = 0.1


class Part:
    """Some functions, and the executor that runs them.

    Args:
        executor: Runs the claims.
        names: Returns the names of the functions.
        registry: The functions by name.
        admission: Lets claims through their limits.
        weights: How to divide what is claimed among queues; None leaves it to the priorities.
        backends: The backends whose tasks it runs, too; see ``Store.claim``.
    """

    def __init__(
        self,
        executor: Executor,
        names: Callable[[], Collection[str]],
        *,
        registry: Registry,
        admission: Admission,
        weights: Mapping[str, int] | None = None,
        backends: Mapping[str, bool] = NO_BACKENDS,
    ) -> None:
        self.executor = executor
        self.backends = backends
        self._registry = registry
        self._admission = admission
        self._shares = None if weights is None else Shares(weights)
        self.names = names
        self._pace = Pace(slots=executor.slots)
        self._rests_until = 0.0
        self._in_vain = 0.0
        self._trial: Claim | None = None
        self._tried_at = 0.0
        #: Whether limits have put aside what the last claim found: there may be more behind.
        self.is_refused = False

    def rest(self) -> float:
        """Return for how many seconds a busy worker should not ask for this part again.

        A claim that finds nothing has looked at all that is due for others. Asked at each round of
        a busy part beside it, it would cost more the more those have to do.
        """
        return max(0.0, self._rests_until - time.monotonic())

    def has_room(self) -> bool:
        """Tell whether a claim would begin at once."""
        return self.executor.load() < self.executor.slots

    def claim(
        self, store: Store, owner: str, *, queues: Collection[str], room: int, is_ahead: bool
    ) -> list[Claim]:
        """Claim what can begin now, and some work ahead.

        Args:
            store: The rows.
            owner: The worker's name.
            queues: The queues it serves.
            room: How many may be claimed at most.
            is_ahead: Whether more may be claimed than can begin now.
        """
        self.is_refused = False
        load, slots = self.executor.load(), self.executor.slots
        ahead = self._pace.ahead() if is_ahead else 0
        limit = max(0, min(slots - load, room))
        wanted = min(limit + ahead - max(0, load - slots), room)
        if not limit and 2 * wanted <= ahead:  # enough is in hand
            return []
        names = self.names()
        if not names and not self.backends:
            return []
        begun = time.monotonic()
        first = 0 if self._is_trial_on(begun) else min(limit, 1)
        fragile = fragile_names(names, self._registry)
        claim_some = partial(store.claim, owner, names, backends=self.backends, fragile=fragile)
        claims = self._admitted(
            partial(claim_some, queues=queues)
            if self._shares is None
            else partial(self._shares.claim, claim_some),
            limit=first,
            ahead=wanted - first,
        )
        for claim in claims[:1]:
            if claim.attempts:
                self._trial, self._tried_at = claim, begun
        self._pace.claimed(len(claims))
        is_in_vain = not claims and not self.is_refused
        self._take_note(time.monotonic(), since=begun, is_in_vain=is_in_vain)
        return claims

    def _admitted(
        self, claim: Callable[..., list[Claim]], *, limit: int, ahead: int
    ) -> list[Claim]:
        """Claim, and again in the place of what a limit has put aside."""
        admitted: list[Claim] = []
        for _ in range(MOST_ROUNDS):
            claims = claim(limit=limit, ahead=ahead)
            passed = self._admission.admit(claims)
            admitted += passed
            self.is_refused = len(passed) < len(claims)
            if not self.is_refused:
                break
            limit, ahead = min(limit, len(claims) - len(passed)), 0
        return admitted

    def _take_note(self, now: float, *, since: float, is_in_vain: bool) -> None:
        took = now - since if is_in_vain else 0.0
        usual, self._in_vain = min(took, self._in_vain), took
        if usual > LONG_SECONDS:
            self._rests_until = now + REST * usual

    def _is_trial_on(self, now: float) -> bool:
        """Tell whether a row that has lost an attempt has only just begun.

        It may be the one that kills its workers. Such rows begin one after the other, however many
        slots are free, or they would lose all their attempts together with it.
        """
        if self._trial is None or now - self._tried_at > TRIAL_SECONDS:
            return False
        return self._trial in self.executor.claims()

    def take_back(self) -> list[Claim]:
        """Return the claims that have not begun, of which there are too many beside what runs."""
        claims = self.executor.take_back()
        if claims:
            self._pace.stalled()
        return claims

    def end_of(self, claim: Claim, outcome: Outcome | Settled, *, started: float) -> End:
        """Return the end of a run, which is now."""
        ended = time.monotonic()
        self._pace.add(ended - started)
        return End.of(claim, outcome, seconds=ended - started, ended=ended)


def wanted_by(parts: Iterable[Part]) -> tuple[list[str], dict[str, bool]]:
    """Return what some parts run together: functions by name, and the tasks of backends."""
    parts = list(parts)
    names = [name for part in parts for name in part.names()]
    return names, {alias: may for part in parts for alias, may in part.backends.items()}


def make_executor(
    options: Options,
    *,
    registry: Registry,
    store: Store,
    admission: Admission,
    control: Control,
    work: Callable[[Claim], None],
    begin: Callable[[Claim], float | None],
    end: Callable[[Claim, Outcome | None, float], None],
    is_slow: Callable[[], bool],
) -> tuple[Executor, list[Part]]:
    """Return what runs a worker's tasks, and its parts; the last one calls ``work``.

    Args:
        options: How the worker is to run.
        registry: The functions by name.
        store: The rows.
        admission: Lets claims through their limits.
        control: The worker's orders.
        work: Runs a claim and passes on its outcome.
        begin: Takes note of a coroutine's run; returns the time, or None if it must not begin.
        end: Passes on a coroutine's outcome.
        is_slow: Tells whether ``end`` takes long.
    """
    threads, concurrency = options.threads, options.concurrency
    part = partial(Part, registry=registry, admission=admission, weights=options.weights)
    functions_part = partial(part, backends=served(options.backends))
    registry = registry if options.backends is None else {}
    # In the caller's transaction (a ``TestCase``) threads would see no rows.
    if store.in_transaction() or (threads is None and concurrency is None):
        inline = InlineExecutor(work, control=control)
        return inline, [functions_part(inline, lambda: registry)]
    functions = ThreadExecutor(work, threads=threads or 1, control=control)
    if concurrency is None:
        return functions, [functions_part(functions, lambda: registry)]
    coroutines = CoroutineExecutor(
        slots=concurrency,
        lanes=threads or min(concurrency, LANES),
        registry=registry,
        store=store,
        control=control,
        begin=begin,
        end=end,
        is_slow=is_slow,
    )
    both = AsyncExecutor(coroutines, functions, registry=registry)
    return both, [
        part(coroutines, lambda: both.names(is_coroutine=True)),
        functions_part(functions, lambda: both.names(is_coroutine=False)),
    ]
