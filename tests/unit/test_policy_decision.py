"""Policies: what they decide about a run, and until when it may be started."""

import random
from datetime import datetime, timedelta, timezone
from functools import partial

import pytest
from django.test import override_settings

from background_task.backoff import LONGEST, exponential
from background_task.exceptions import (
    Discard,
    InvalidPayloadError,
    InvalidTaskError,
    RetryLater,
    Snooze,
    TaskTimeout,
)
from background_task.policy import Again, Drop, GiveUp, Policy
from background_task.policy_option import overrides

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


class RemoteError(ConnectionError):
    """One of a project's own."""


class Hostile(BaseException):
    """Answers no question about itself."""

    @property
    def __class__(self):
        raise RuntimeError("nobody asks me")

    def __str__(self):
        raise RuntimeError("nobody shows me")

    __repr__ = __str__


def decide(policy, exception, *, attempt=1, most=25, chance=None):
    return policy.decide(
        exception, attempt=attempt, default_max_attempts=most, now=NOW, chance=chance
    )


def test_expiry_counts_from_the_time_of_the_row_or_is_fixed():
    assert Policy().expires_at(NOW) is None
    assert Policy.make(expires=60).expires_at(NOW) == NOW + MINUTE
    assert Policy.make(expires=NOW).expires_at(NOW + MINUTE) == NOW


def test_expiry_beyond_the_calendar_is_none():
    assert Policy.make(expires=60).expires_at(datetime.max.replace(tzinfo=timezone.utc)) is None


@override_settings(USE_TZ=False, TIME_ZONE="Asia/Kolkata")
def test_expiry_without_time_zones_is_in_that_of_the_project():
    naive = datetime(2030, 1, 1, 5, 30)
    policy = Policy.make(expires=naive)
    assert policy.expires == NOW
    assert policy.expires_at(datetime(2029, 1, 1)) == naive
    assert Policy().merged(overrides({"expires": naive})) == policy
    assert Policy.make(expires=60).expires_at(naive) == naive + MINUTE


def test_ordinary_error_is_tried_again_after_the_default_wait():
    assert decide(Policy(), ValueError(), attempt=3) == Again(timedelta(seconds=86))


@pytest.mark.parametrize(
    ("most", "setting", "attempt", "is_over"),
    [
        (None, 25, 24, False),
        (None, 25, 25, True),
        (None, 1, 1, True),
        (1, 25, 1, True),
        (3, 1, 2, False),
        (3, 25, 3, True),
        (3, 25, 2**31 - 1, True),
    ],
)
def test_attempts_end_at_the_limit_of_the_policy_or_of_the_setting(most, setting, attempt, is_over):
    verdict = decide(Policy(max_attempts=most), ValueError(), attempt=attempt, most=setting)
    assert isinstance(verdict, GiveUp if is_over else Again)
    if is_over:
        assert verdict.reason == f"attempt {attempt} of {most or setting}"


def test_own_backoff_counts_and_gets_its_chance():
    policy = Policy.make(backoff=exponential(MINUTE, jitter=1))
    again = decide(policy, ValueError(), chance=random.Random(1))
    assert again == Again(policy.backoff.delay(1, chance=random.Random(1)))
    assert timedelta(0) < again.delay < MINUTE


def test_broken_backoff_function_costs_no_attempt_and_is_told():
    policy = Policy.make(backoff=lambda attempt, exception: exception.headers["Retry-After"])
    again = decide(policy, ValueError())
    assert again.delay == timedelta(seconds=6)
    assert "AttributeError" in again.problem


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize(
    ("options", "raised", "kind"),
    [
        ({"retry_on": OSError}, OSError, Again),
        ({"retry_on": OSError}, RemoteError, Again),
        ({"retry_on": RemoteError}, OSError, GiveUp),
        ({"retry_on": [KeyError, RemoteError]}, RemoteError, Again),
        ({"retry_on": ()}, ValueError, GiveUp),
        ({"retry_on": BaseException}, KeyboardInterrupt, Again),
        ({"retry_on": Exception}, TaskTimeout, GiveUp),
        ({"retry_on": (Exception, TaskTimeout)}, TaskTimeout, Again),
        ({"retry_on": OSError}, Hostile, GiveUp),
        ({"retry_on": Hostile}, Hostile, Again),
        ({"retry_on": BaseException}, InvalidTaskError, GiveUp),
        ({"retry_on": BaseException}, InvalidPayloadError, GiveUp),
        ({"discard_on": OSError}, RemoteError, Drop),
        ({"discard_on": OSError}, ValueError, Again),
        ({"discard_on": Hostile}, Hostile, Drop),
        ({"discard_on": OSError, "retry_on": OSError}, OSError, Drop),
        ({"discard_on": BaseException}, InvalidTaskError, GiveUp),
        ({"discard_on": BaseException, "max_attempts": 1}, OSError, Drop),
        ({"retry_on": OSError, "max_attempts": 1}, OSError, GiveUp),
        ({"discard_on": BaseException}, RetryLater, Again),
        ({"retry_on": ()}, RetryLater, Again),
        ({"retry_on": (), "max_attempts": 1}, partial(Snooze, 1), Again),
        ({"retry_on": BaseException}, Discard, Drop),
    ],
)
def test_order_of_the_rules(options, raised, kind, is_stored):
    policy = Policy().merged(overrides(options)) if is_stored else Policy.make(**options)
    assert type(decide(policy, raised())) is kind


def test_stored_exception_that_is_not_known_here_is_just_never_raised():
    policy = Policy().merged('{"retry":["gone.away.Error","builtins.KeyError"],"discard":["x"]}')
    assert type(decide(policy, KeyError())) is Again
    assert type(decide(policy, ValueError())) is GiveUp


def test_stored_exception_of_a_function_is_recognised():
    class LocalError(Exception):
        pass

    policy = Policy().merged(overrides({"discard_on": LocalError}))
    assert decide(policy, LocalError()) == Drop(f"{LocalError.__qualname__} is in discard_on")


def test_discard_gives_its_reason_as_a_database_can_hold_it():
    assert decide(Policy(), Discard("cancelled\x00")) == Drop("cancelled\\x00")
    assert decide(Policy(max_attempts=1), Discard(), attempt=9) == Drop("")


@pytest.mark.parametrize(
    ("exception", "verdict"),
    [
        (RetryLater(30), Again(timedelta(seconds=30))),
        (RetryLater(30, spend_attempt=False), Again(timedelta(seconds=30), False)),
        (RetryLater(), Again(timedelta(seconds=21))),
        (RetryLater(spend_attempt=False), Again(timedelta(seconds=21), False)),
        (RetryLater(0), Again(timedelta(0))),
        (RetryLater(NOW + MINUTE), Again(MINUTE)),
        (RetryLater(NOW - MINUTE), Again(timedelta(0))),
        (RetryLater("Tue, 01 Jan 2030 00:01:00 GMT"), Again(MINUTE)),
        (RetryLater(10**400), Again(LONGEST)),
        (RetryLater(NOW.replace(year=9999)), Again(LONGEST)),
        (Snooze(MINUTE), Again(MINUTE, False)),
        (Snooze(NOW + MINUTE), Again(MINUTE, False)),
    ],
)
def test_wish_for_another_run_is_granted(exception, verdict):
    assert decide(Policy(), exception, attempt=2) == verdict


@pytest.mark.parametrize("exception", [RetryLater(), RetryLater(5)])
def test_wish_that_spends_the_last_attempt_fails(exception):
    assert decide(Policy(max_attempts=2), exception, attempt=2) == GiveUp("attempt 2 of 2")


@pytest.mark.parametrize(
    "exception", [Snooze(60), RetryLater(60, spend_attempt=False), Snooze(NOW + MINUTE)]
)
def test_wish_that_spends_nothing_is_granted_at_the_last_attempt(exception):
    assert decide(Policy(max_attempts=1), exception, attempt=9) == Again(MINUTE, False)
