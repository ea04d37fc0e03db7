"""Tokens that let whoever has one ask how one task stands, for a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core import signing

from ..exceptions import InvalidOptionError, InvalidOptionTypeError, brief, duration_of
from ..identity import uid_of

#: Not that of anything else that the project signs.
SALT = "background_task.status"
#: How long a token is good for, in seconds.
MAX_AGE = 24 * 3600


class ExpiredTokenError(Exception):
    """The token was good, and is too old."""


class WrongTokenError(Exception):
    """Nobody of this site has made the token."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token lets its owner see.

    Attributes:
        uid: The task.
        shows_result: Whether what the task has returned may be seen.
    """

    uid: UUID
    shows_result: bool


def make_token(task: Any, max_age: Any = None, *, result: bool = False) -> str:
    """Return a token for a task, to be put into a page of somebody who may know how it stands.

    Args:
        task: A ``Task``, a ``CompletedTask``, a result of ``django.tasks``, or a ``uid``.
        max_age: How long it is good for, in seconds or as a ``timedelta``; None is for a day.
        result: Whether what the task has returned may be seen, too.

    Raises:
        InvalidOptionError: ``max_age`` is not positive, or the task has not been stored.
        InvalidOptionTypeError: The task is nothing of the kind, or ``result`` is no bool.
    """
    span = duration_of(MAX_AGE if max_age is None else max_age, what="max_age")
    if span.total_seconds() <= 0:
        raise InvalidOptionError(f"max_age {brief(max_age)} is over at once; use above 0 seconds")
    if not isinstance(result, bool):
        raise InvalidOptionTypeError(f"result {brief(result)} is no bool; use True or False")
    grant = [uid_of_task(task).hex, int(time.time() + span.total_seconds()), int(result)]
    return signing.dumps(grant, salt=SALT)


def read_token(token: str) -> Grant:
    """Return what a token lets its owner see.

    Raises:
        WrongTokenError: It is none of ours.
        ExpiredTokenError: It is too old.
    """
    try:
        uid, expires_at, shows_result = signing.loads(token, salt=SALT)
        grant = Grant(UUID(uid), bool(shows_result))
    except (signing.BadSignature, AttributeError, TypeError, ValueError) as error:
        raise WrongTokenError from error
    if time.time() >= expires_at:
        raise ExpiredTokenError
    return grant


def uid_of_task(task: Any) -> UUID:
    """Return the uid of what ``make_token`` takes; raises as that."""
    if isinstance(task, UUID | str):
        return uid_of(task)
    uid = getattr(task, "uid", None) if hasattr(task, "uid") else getattr(task, "id", None)
    if uid is None:
        raise InvalidOptionError(
            f"{brief(task)} has no uid, so it was not stored; use a task that a call has returned"
        )
    return uid_of(uid)
