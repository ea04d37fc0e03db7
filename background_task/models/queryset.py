"""What one asks of live tasks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from .. import payload
from ..fields import ExactText
from ..settings import app_settings
from ..uniqueness import KEPT
from .worker import Worker

if TYPE_CHECKING:
    from .task import Task

#: Rows that keep their unique key while they run.
HAS_KEPT_KEY = Q(options__contains=KEPT)


class TaskQuerySet(models.QuerySet["Task"]):
    """What one asks of live tasks."""

    def created_by(self, creator: models.Model) -> TaskQuerySet:
        """Return the tasks scheduled with ``creator=creator``."""
        return self.filter(**creator_lookup(creator, using=self.db))

    def find_available(self, queue: str | None = None) -> TaskQuerySet:
        """Return the rows that are due and free, in the order in which they run."""
        now = timezone.now()
        available = self.unlocked(now).filter(run_at__lte=now, failed_at=None)
        if queue:
            available = available.filter(queue=queue)
        prefix = app_settings.BACKGROUND_TASK_PRIORITY_ORDERING
        return available.order_by(f"{prefix}priority", "run_at", "pk")

    def unlocked(self, now: datetime) -> TaskQuerySet:
        """Return the rows that nobody owns, or whose owner is gone."""
        rows = self.alias(exact_owner=ExactText("locked_by"))  # see ``owned_by``
        return rows.filter(Q(exact_owner__isnull=True) | _left_behind(now))

    def locked(self, now: datetime) -> TaskQuerySet:
        """Return the rows that somebody owns: a live worker, or a lock within MAX_RUN_TIME."""
        return self.filter(Q(locked_by__isnull=False) & ~_left_behind(now))

    def failed(self) -> TaskQuerySet:
        """Return the rows marked as failed; finished ones are in ``CompletedTask``."""
        return self.filter(failed_at__isnull=False)

    def owned_by(self, owner: str | None) -> TaskQuerySet:
        """Return the rows of an owner, or those of nobody; for rows that are found by their keys.

        With the bare column MySQL and MariaDB would rather enter by the index of owners, and lock a
        row after its entry there. A rival that has the row and changes its owner waits the other
        way round: a deadlock.
        """
        rows = self.alias(exact_owner=ExactText("locked_by"))
        return (
            rows.filter(exact_owner__isnull=True)
            if owner is None
            else rows.filter(exact_owner=owner)
        )

    def named(self, names: Collection[str]) -> TaskQuerySet:
        """Return the rows of these functions."""
        return self.alias(exact_name=ExactText("task_name")).filter(exact_name__in=names)

    def not_named(self, names: Collection[str]) -> TaskQuerySet:
        """Return the rows of all other functions."""
        return self.alias(exact_name=ExactText("task_name")).exclude(exact_name__in=names)

    def mark_claimed(self, owner: str, *, now: datetime, passes_gate: bool = True) -> int:
        """Give all rows of this queryset to ``owner``; return how many there were.

        Taking over a row that is still marked as locked spends the attempt that was lost.

        Args:
            owner: Any name of at most 64 characters.
            now: The time of the claim.
            passes_gate: Whether what has a limit may have to go on waiting. It keeps its unique key
                until it is let through; see ``mark_begun``.
        """
        kept = Q(limit_key__isnull=False) | HAS_KEPT_KEY if passes_gate else HAS_KEPT_KEY
        # In this order: MySQL assigns one after the other.
        own_time = {} if passes_gate else {"run_at": Coalesce("due_at", "run_at"), "due_at": None}
        return self.update(
            attempts=Case(
                When(locked_by__isnull=False, then=F("attempts") + 1), default="attempts"
            ),
            locked_by=owner,
            locked_at=now,
            claim_number=Coalesce(F("claim_number"), 0) + 1,
            started_at=Coalesce(F("started_at"), now),
            unique_key=Case(When(kept, then=F("unique_key")), default=None),
            **own_time,
        )

    def mark_begun(self) -> int:
        """Take from claimed rows what they have as long as they wait at a limit."""
        waiting = self.filter(Q(unique_key__isnull=False) | Q(due_at__isnull=False))
        # In this order: see ``mark_claimed``.
        return waiting.update(
            unique_key=Case(When(HAS_KEPT_KEY, then=F("unique_key")), default=None),
            run_at=Coalesce("due_at", "run_at"),
            due_at=None,
        )


class TaskManager(models.Manager["Task"]):
    """``Task.objects``."""

    def get_queryset(self) -> TaskQuerySet:
        """Return all live tasks."""
        return TaskQuerySet(self.model, using=self._db)

    def created_by(self, creator: models.Model) -> TaskQuerySet:
        """Return the tasks scheduled with ``creator=creator``."""
        return self.get_queryset().created_by(creator)

    def find_available(self, queue: str | None = None) -> TaskQuerySet:
        """Return the rows that are due and free, in the order in which they run."""
        return self.get_queryset().find_available(queue)

    def unlocked(self, now: datetime) -> TaskQuerySet:
        """Return the rows that nobody owns, or whose owner is gone."""
        return self.get_queryset().unlocked(now)

    def locked(self, now: datetime) -> TaskQuerySet:
        """Return the rows that somebody owns."""
        return self.get_queryset().locked(now)

    def failed(self) -> TaskQuerySet:
        """Return the rows marked as failed."""
        return self.get_queryset().failed()

    def new_task(
        self,
        task_name: str,
        args: Any = None,
        kwargs: Any = None,
        run_at: datetime | None = None,
        priority: int = 0,
        queue: str | None = None,
        verbose_name: str | None = None,
        creator: models.Model | None = None,
        repeat: int | None = None,
        repeat_until: datetime | None = None,
        remove_existing_tasks: bool = False,
        repeat_rule: str | None = None,
        options: str | None = None,
    ) -> Task:
        """Return an unsaved task.

        Args:
            task_name: The registered name of the function.
            args: Positional arguments: what JSON can hold, dates, times, decimals, UUIDs, bytes,
                enum members and saved model instances, also nested.
            kwargs: Keyword arguments, likewise.
            run_at: When it is due; None means now.
            priority: Higher runs first by default.
            queue: Which workers may run it; None is the unnamed queue.
            verbose_name: What people see instead of ``task_name``.
            creator: Any saved model instance.
            repeat: Seconds between runs; None or 0 means once.
            repeat_until: No run is due after it.
            remove_existing_tasks: Delete waiting rows of the same call first, at once.
            repeat_rule: The text of a rule, for what ``repeat`` cannot say.
            options: What ``policy_option.overrides`` returned.
        """
        task_params = payload.encode(args, kwargs)
        task_hash = payload.task_hash(task_name, task_params)
        if remove_existing_tasks:
            self.filter(task_hash=task_hash, locked_at__isnull=True).delete()
        given = {} if creator is None else {"creator": creator}
        return self.model(
            task_name=task_name,
            task_params=task_params,
            task_hash=task_hash,
            priority=priority,
            run_at=timezone.now() if run_at is None else run_at,
            queue=queue,
            verbose_name=verbose_name,
            repeat=repeat or self.model.NEVER,
            repeat_until=repeat_until,
            repeat_rule=repeat_rule,
            options=options,
            **given,
        )

    def get_task(self, task_name: str, args: Any = None, kwargs: Any = None) -> TaskQuerySet:
        """Return the live rows of exactly this call, in any queue."""
        task_params = payload.encode(args, kwargs)
        return self.get_queryset().filter(task_hash=payload.task_hash(task_name, task_params))

    def drop_task(
        self, task_name: str, args: Any = None, kwargs: Any = None
    ) -> tuple[int, dict[str, int]]:
        """Delete the live rows of exactly this call."""
        return self.get_task(task_name, args, kwargs).delete()


def creator_lookup(creator: models.Model, *, using: str) -> dict[str, Any]:
    """Return the filter for rows scheduled by ``creator``."""
    content_type = ContentType.objects.db_manager(using).get_for_model(creator)
    return {"creator_content_type": content_type, "creator_object_id": creator.pk}


def _left_behind(now: datetime) -> Q:
    """Return the condition that a row is locked by somebody who will not finish it.

    A worker of 2.0 is known by its heartbeat: it must have stopped, or been declared dead. Any
    other owner (a worker of an earlier version, user code that called ``lock``) has MAX_RUN_TIME,
    and so has a worker of which nobody has been left to notice its death.
    """
    owner = Worker.objects.filter(name=ExactText(OuterRef("locked_by")))
    limit = now - timedelta(seconds=app_settings.MAX_RUN_TIME)
    gone = owner.filter(Q(stopped_at__isnull=False) | Q(expires_at__lt=limit))
    return Q(locked_by__isnull=False) & (Exists(gone) | (~Exists(owner) & Q(locked_at__lt=limit)))
