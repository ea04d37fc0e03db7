"""The ``Task`` of our backend: that of ``django.tasks``, with the options of ``@background``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from .backoff import BackoffLike, Seconds
from .call import Parameters, check_atomic
from .exceptions import InvalidOptionTypeError
from .limiter import KeyLike, LimitKey, RateLimitLike
from .option import check_moment
from .policy import Policy
from .policy_option import POLICY_OPTIONS, ExceptionTypes, overrides
from .recurrence import CatchUp, RepeatLike, check_repeat
from .repeat_option import REPEAT_OPTIONS, begun, check_effect
from .task_framework import GenericTask, Task
from .uniqueness import UNIQUE_OPTIONS, OnConflict, UniqueLike, Uniqueness, Until

if TYPE_CHECKING:
    from typing_extensions import Self

    from .task_framework import TaskResult

P = ParamSpec("P")
R = TypeVar("R")

#: What ``using`` of ``django.tasks`` takes; None leaves each as it is.
OWN = ("priority", "queue_name", "run_after", "backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTask(GenericTask[P, R], Generic[P, R]):
    """A task function with options of its own; None leaves one to ``OPTIONS`` of its backend.

    Attributes:
        max_attempts: See ``Policy``, here and for those that follow.
        backoff: The waits between attempts.
        retry_on: The only exceptions after which there is another attempt.
        discard_on: Exceptions that end the task without counting as a failure.
        timeout: How long a run may take.
        expires: How long after its time the task may be started.
        keep_result: Whether what the function returns is kept.
        atomic: Whether the function and its finish are one transaction.
        repeat_on_failure: Whether a repeating task goes on after it has failed for good.
        max_concurrency: How many may run at once.
        rate_limit: How many may start within a period.
        sensitive: Whether nobody is shown arguments and return value.
        concurrency_key: What shares these limits; see ``background``.
        unique: Which calls may have one task at a time only; see ``background``.
        unique_until: Until when.
        on_conflict: What becomes of another call.
        repeat: Seconds between runs, or a rule; see ``recurrence.make_rule``.
        repeat_until: No run is due after it.
        repeat_count: How many runs there are to be in all.
        catch_up: Which of the runs are made that were missed.
        overrides: What ``using`` has changed of the policy; it is stored with each task.
    """

    max_attempts: int | None = None
    backoff: BackoffLike | None = None
    retry_on: ExceptionTypes | None = None
    discard_on: ExceptionTypes | None = None
    timeout: Seconds | None = None
    expires: Seconds | datetime | None = None
    keep_result: bool | None = None
    atomic: bool | None = None
    repeat_on_failure: bool | None = None
    max_concurrency: int | None = None
    rate_limit: RateLimitLike | None = None
    sensitive: bool | None = None
    concurrency_key: KeyLike | None = None
    unique: UniqueLike | None = None
    unique_until: Until | None = None
    on_conflict: OnConflict | None = None
    repeat: RepeatLike = None
    repeat_until: datetime | None = None
    repeat_count: int | None = None
    catch_up: CatchUp | None = None
    overrides: str | None = field(default=None, repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        # The policy as it is meant: what came back from a row is written otherwise.
        if not isinstance(other, PolicyTask) or type(self) is not type(other):
            return NotImplemented
        names = [each.name for each in fields(self) if each.compare]
        names = [name for name in names if name not in POLICY_OPTIONS]
        if any(getattr(self, name) != getattr(other, name) for name in names):
            return False
        return self.policy() == other.policy()

    def __hash__(self) -> int:
        return hash((self.module_path, self.backend, self.queue_name, self.priority))

    def __repr__(self) -> str:
        said = ((each.name, getattr(self, each.name)) for each in fields(self) if each.repr)
        named = (f"{name}={value!r}" for name, value in said if value is not None)
        return f"{type(self).__qualname__}({', '.join(named)})"

    def __post_init__(self) -> None:
        # Not super(): the decorator makes another class of this one, because of its slots.
        Task.__post_init__(self)
        check_atomic(bool(self.atomic), self.func)
        self.policy()
        self.uniqueness()
        self.limit_key()
        self._check_chain()

    if TYPE_CHECKING:  # the framework's own, which says nothing of types

        def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
            """Store a call; see ``DatabaseBackend.enqueue``."""

        async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
            """Do the same in a coroutine."""

        def get_result(self, result_id: str) -> TaskResult[P, R]:
            """Return how a task of this function stands."""

        async def aget_result(self, result_id: str) -> TaskResult[P, R]:
            """Do the same in a coroutine."""

        def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Call the function itself."""

        async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Do the same in a coroutine."""

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | None = None,
        backend: str | None = None,
        **options: Any,
    ) -> Self:
        """Return a copy with other values; None leaves one as it is.

        Args:
            priority: From -100 to 100; higher runs first.
            queue_name: The name of the queue.
            run_after: The earliest time to run it.
            backend: The alias of the backend.
            **options: Those of this class. The tasks carry them.

        Raises:
            InvalidOptionError: An option has a value that cannot work (a ``ValueError``).
            InvalidOptionTypeError: One is unknown or of a wrong type (a ``TypeError``).
        """
        values = zip(OWN, (priority, queue_name, run_after, backend), strict=True)
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise InvalidOptionTypeError(
                f"using has no option {', '.join(unknown)}; it takes {', '.join((*OWN, *OPTIONS))}"
            )
        changes = {name: value for name, value in (*values, *options.items()) if value is not None}
        policy = {name: value for name, value in changes.items() if name in POLICY_OPTIONS}
        if policy:
            changes["overrides"] = overrides(policy, earlier=self.overrides)
        return replace(self, **changes)

    def policy(self) -> Policy:
        """Return the options that decide what becomes of a run.

        Raises:
            InvalidOptionError: An option has a value that cannot work.
            InvalidOptionTypeError: An option is of a wrong type.
        """
        return Policy.make(**self.given()).merged(self.overrides)

    def given(self) -> dict[str, Any]:
        """Return what is said about the policy, as it was written."""
        values = {name: getattr(self, name) for name in POLICY_OPTIONS}
        return {name: value for name, value in values.items() if value is not None}

    def uniqueness(self) -> Uniqueness | None:
        """Return which calls may have one task at a time only; None for all any number."""
        given = {name: getattr(self, name) for name in UNIQUE_OPTIONS}
        given = {name: value for name, value in given.items() if value is not None}
        return Uniqueness.make(given, of=parameters_of(self)) if given else None

    def limit_key(self) -> LimitKey | None:
        """Return which runs share the limit of this function; None if it has none."""
        is_limited = self.max_concurrency is not None or self.rate_limit is not None
        if not is_limited and self.concurrency_key is None:
            return None
        return LimitKey.make(self.concurrency_key, of=parameters_of(self), is_limited=is_limited)

    def _check_chain(self) -> None:
        period, rule = check_repeat(self.repeat, key=self.module_path)
        check_moment(self.repeat_until, what="repeat_until")
        given = {name: getattr(self, name) for name in REPEAT_OPTIONS}
        begun(None, **given)
        if period <= 0 and rule is None:
            check_effect(given)


#: What this class adds to the tasks of ``django.tasks``.
OPTIONS = tuple(
    each.name
    for each in fields(PolicyTask)
    if each.name not in ("overrides", *(other.name for other in fields(Task)))
)


def policy_options(task: Task[..., Any]) -> Mapping[str, Any]:
    """Return what a task says about its policy; nothing, if it was made for another backend."""
    return task.given() if isinstance(task, PolicyTask) else {}


def parameters_of(task: Task[..., Any]) -> Parameters:
    """Return what a call of a task takes: what the function does, without the context."""
    return _parameters(task.module_path, task.func, task.takes_context)


@lru_cache(maxsize=1000)
def _parameters(name: str, function: Callable[..., Any], takes_context: bool) -> Parameters:
    return Parameters(name, function, skips_first=takes_context, options=())
