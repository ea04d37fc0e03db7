"""The table of workers that have been seen."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

#: How ``queues`` begins for a worker of all but some, and what the unnamed queue is called there.
ALL_BUT, UNNAMED = "all but ", "(unnamed)"


class Worker(models.Model):
    """A worker process that has been seen: alive until ``expires_at``, unless it has stopped."""

    name = models.CharField(max_length=64, unique=True)
    host = models.CharField(max_length=255)
    pid = models.BigIntegerField()
    queues = models.TextField(blank=True)
    capacity = models.IntegerField(default=1)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)
    #: At its last heartbeat: the memory of its process, and how many runs it has ended. Null if
    #: nobody can tell.
    memory_bytes = models.BigIntegerField(null=True, editable=False)
    processed = models.BigIntegerField(null=True, editable=False)

    def __str__(self) -> str:
        return self.name

    def serves(self, queue: str | None) -> bool:
        """Tell whether it serves a queue; None is the unnamed one."""
        if self.queues.startswith(ALL_BUT):
            excluded = self.queues.removeprefix(ALL_BUT)
            return (queue or UNNAMED) not in {excluded, *excluded.split(", ")}
        words = self.queues.split(", ")
        names = {self.queues, *words, *(word.rpartition(":")[0] for word in words)}  # with weights
        return not self.queues or (queue is not None and queue in names)

    @classmethod
    def alive(cls, now: datetime) -> Q:
        """Return the condition that a worker may still write to its rows."""
        return Q(stopped_at__isnull=True, expires_at__gte=now)
