"""On which terms a row is run: the options of its function, and those of this very call."""

from __future__ import annotations

from collections.abc import Iterable

from ..attempt import NOT_BEGUN, Cancelled, Claim, Discarded, Failed
from ..policy import ONCE, Policy
from ..registry import Registered, Registry, find

#: Of functions that say nothing, and of those that this process does not know.
DEFAULT = Policy()


def terms_of(claim: Claim, registry: Registry) -> Policy:
    """Return the options of a row; never raises.

    What cannot be read, because it is broken or of a newer version, is left out.
    """
    policy = policy_of(find(registry, claim), default=DEFAULT if claim.backend is None else ONCE)
    return policy if claim.options is None else policy.merged(claim.options)


def policy_of(registered: Registered | None, *, default: Policy = DEFAULT) -> Policy:
    """Return the options of a function."""
    return getattr(registered, "policy", None) or default


def fragile_names(names: Iterable[str], registry: Registry) -> list[str]:
    """Return the functions of which nothing is to be claimed before it can run.

    Those that have one attempt only, which nothing may cost them but a run; and those with a limit,
    in which what only waits would take up room.
    """
    policies = ((name, policy_of(registry.get(name))) for name in names)
    return [name for name, policy in policies if policy.max_attempts == 1 or policy.is_limited]


def unbegun(
    claim: Claim, terms: Policy, *, is_cancelled: bool = False
) -> Failed | Discarded | Cancelled | None:
    """Return the outcome of a row that is not to be run; None if it is.

    A row may have been cancelled, and have come back by other code than this: a worker of 1.x, or
    ``Task.reschedule``. Or that happened since it was claimed, as the caller knows.

    A row may have had all its attempts: a worker that does not know the function, and so not how
    many there are, has counted the lost one of another. What the row says of it stays.
    """
    if is_cancelled or claim.cancel_requested_at is not None:
        return Cancelled(NOT_BEGUN, has_begun=False)
    if terms.max_attempts is not None and claim.attempts >= terms.max_attempts:
        return Failed("", repeats=terms.repeat_on_failure, has_begun=False)
    reason = why_expired(claim, terms)
    return None if reason is None else Discarded(reason, has_begun=False)


def why_expired(claim: Claim, terms: Policy) -> str | None:
    """Say that a row comes too late to be started; None if it does not.

    Only the first start counts: what has begun in time may be tried again. By the database's
    clock, as the claim has it.
    """
    if terms.expires is None or claim.attempts or claim.locked_at is None:
        return None
    last = terms.expires_at(claim.run_at)
    if last is None or claim.locked_at <= last:
        return None
    return f"it was not started in time: due at {claim.run_at}, it expired at {last}"
