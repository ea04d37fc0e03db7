"""What becomes of the runs of a task: the options that decide it, and the decision."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

from django.utils.timezone import get_default_timezone, is_naive, make_naive

from . import payload
from .backoff import LONGEST, Backoff, Default
from .exceptions import Discard, InvalidTaskError, RetryLater, brief
from .limiter import RateLimit
from .policy_option import OPTIONS, ExceptionLike, check_policy, name_of, parse_overrides
from .repeat_option import problem_of


@dataclass(frozen=True, slots=True)
class Again:
    """There is to be another run.

    Attributes:
        delay: The wait, from 0 to ten years.
        spends_attempt: Whether the run that has ended counts as an attempt.
        problem: What is wrong with the backoff, in whose place the default was used.
    """

    delay: timedelta
    spends_attempt: bool = True
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The task has failed for good; ``reason`` says why there is no other attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """The task is not wanted any more, and that is no failure."""

    reason: str


Verdict: TypeAlias = Again | GiveUp | Drop


@dataclass(frozen=True, slots=True)
class Policy:
    """The options of a task function, or of one call, that decide what becomes of a run.

    Attributes:
        max_attempts: How often the task is tried; None as the setting says; 1 never retries.
        backoff: The waits between attempts; None for the default.
        retry_on: The only exceptions after which there is another attempt, with their subclasses;
            None for all. A time limit raises ``TaskTimeout``, which is one of them if listed.
        discard_on: Exceptions that end the task without counting as a failure.
        timeout: How long a run may take; None as the setting says; zero for as long as it likes.
        expires: How long after its time, or until when (aware), the task may be started; None for
            ever.
        keep_result: Whether what the function returns is kept; None as the setting says.
        atomic: Whether the function and its finish are one transaction on the tasks' database.
        repeat_on_failure: Whether a repeating task goes on after it has failed for good.
        max_concurrency: How many may run at once, over all workers; None for any number.
        rate_limit: How many may start within a period, over all workers; None for any number.
        sensitive: Whether nobody is shown arguments and return value; see ``masking``.
        problems: What could not be read in a row's own options, and was left out.
    """

    max_attempts: int | None = None
    backoff: Backoff | None = None
    retry_on: tuple[ExceptionLike, ...] | None = None
    discard_on: tuple[ExceptionLike, ...] = ()
    timeout: timedelta | None = None
    expires: timedelta | datetime | None = None
    keep_result: bool | None = None
    atomic: bool = False
    repeat_on_failure: bool = False
    max_concurrency: int | None = None
    rate_limit: RateLimit | None = None
    sensitive: bool = False
    problems: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit to how many run."""
        return self.max_concurrency is not None or self.rate_limit is not None

    @classmethod
    def make(cls, **given: Any) -> Policy:
        """Return the policy of options as people write them; None leaves an option open.

        Raises:
            InvalidOptionTypeError: An option is unknown, or of a wrong type.
            InvalidOptionError: An option has a value that cannot work.
        """
        return cls(**check_policy(given))

    def merged(self, stored: str | Mapping[str, Any] | None) -> Policy:
        """Return this policy with the options that are stored with a call; never raises.

        What a later version has stored under keys of its own is ignored. What cannot be read is
        left out and said in ``problems``.

        Args:
            stored: What ``overrides`` has returned, as text or parsed.
        """
        if not stored:
            return self
        try:
            values = parse_overrides(stored)
        except (TypeError, ValueError, RecursionError) as error:
            return self._noting(f"the options {brief(stored)} cannot be read: {error}")
        read: dict[str, Any] = {}
        problems = []
        for name, option in OPTIONS.items():
            if values.get(option.key) is None:
                continue
            try:
                read[name] = option.unpack(values[option.key])
            except (TypeError, ValueError) as error:
                problems.append(f"{name} is ignored: {error}")
        if (problem := problem_of(values)) is not None:
            problems.append(problem)
        return replace(self, **read)._noting(*problems)

    def expires_at(self, run_at: datetime) -> datetime | None:
        """Return the last moment to start a run that is due at ``run_at``; None if there is none.

        It is of the same kind, aware or naive, as ``run_at``.
        """
        match self.expires:
            case timedelta() as length:
                try:
                    return run_at + length
                except OverflowError:  # beyond the year 9999
                    return None
            case datetime() as moment if is_naive(run_at):
                return make_naive(moment, get_default_timezone())
            case datetime() as moment:
                return moment
        return None

    def decide(
        self,
        exception: BaseException,
        *,
        attempt: int,
        default_max_attempts: int,
        now: datetime,
        chance: random.Random | None = None,
    ) -> Verdict:
        """Say what becomes of a task that raised. This is the one place with the order of rules.

        What the function asks for by ``Discard``, ``Snooze``, ``RetryLater`` or
        ``InvalidTaskError`` comes first, then ``discard_on`` and ``retry_on``, then the count.

        Args:
            exception: What came out of the function.
            attempt: The number of the run, from 1.
            default_max_attempts: The setting, for policies that leave it open.
            now: The time at which a wait until a given moment begins.
            chance: Where jitter comes from; None for the generator of the process.
        """
        kind = type(exception)  # isinstance would ask a hostile __class__
        if issubclass(kind, Discard):
            return Drop(payload.storable(str(cast(Discard, exception).reason)))
        wait, spends_attempt = None, True
        if issubclass(kind, RetryLater):
            wish = cast(RetryLater, exception)
            wait, spends_attempt = wish.delay_from(now), wish.spend_attempt
        elif (final := self._final(kind)) is not None:
            return final
        most = default_max_attempts if self.max_attempts is None else self.max_attempts
        if spends_attempt and attempt >= most:
            return GiveUp(f"attempt {attempt} of {most}")
        if wait is not None:
            return Again(min(wait, LONGEST), spends_attempt)
        rule = self.backoff or Default()
        wait, problem = rule.delay_or_default(attempt, exception, chance=chance)
        return Again(wait, spends_attempt, problem)

    def _final(self, kind: type[BaseException]) -> GiveUp | Drop | None:
        if issubclass(kind, InvalidTaskError):
            return GiveUp("the task is invalid")
        if _is_listed(kind, self.discard_on):
            return Drop(f"{kind.__qualname__} is in discard_on")
        if self.retry_on is not None and not _is_listed(kind, self.retry_on):
            return GiveUp(f"{kind.__qualname__} is not in retry_on")
        return None

    def _noting(self, *problems: str) -> Policy:
        return replace(self, problems=self.problems + problems) if problems else self


#: Of what says nothing, where retries have to be asked for.
ONCE = Policy(max_attempts=1)


def _is_listed(kind: type[BaseException], listed: Iterable[ExceptionLike]) -> bool:
    names = {name for name in listed if isinstance(name, str)}
    classes = tuple(each for each in listed if not isinstance(each, str))
    if issubclass(kind, classes):
        return True
    return bool(names) and any(name_of(base) in names for base in kind.__mro__)
