"""The tables of flow control: what is paused, and how many runs a limit lets through."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Pause(models.Model):
    """A queue or a function from which no worker claims until further notice.

    ``key`` is a hash of kind and name, because some databases take names for equal that differ in
    case. The name of the unnamed queue is empty.
    """

    QUEUE: ClassVar[str] = "queue"
    FUNCTION: ClassVar[str] = "function"
    KINDS: ClassVar = ((QUEUE, "queue"), (FUNCTION, "function"))

    key = models.CharField(max_length=64, primary_key=True, editable=False)
    kind = models.CharField(max_length=8, choices=KINDS)
    name = models.CharField(max_length=190, blank=True)
    paused_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


class Gate(models.Model):
    """A limit that runs have to pass, one row for each key.

    Whoever lets runs through, or puts rows aside, holds the lock of this row meanwhile.
    """

    key = models.CharField(max_length=64, primary_key=True, editable=False)
    name = models.CharField(max_length=255)
    #: How many may run at once, and how many may start within a period; null for any number.
    max_running = models.IntegerField(null=True)
    max_starts = models.IntegerField(null=True)
    period_seconds = models.FloatField(null=True)
    #: When to look whether rows that were put aside may go on; null if there are none.
    look_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return self.name


class Permit(models.Model):
    """A run that a gate has let through.

    It counts as running as long as its row is held under this claim number, whatever becomes of
    its worker; so nobody has to give a permit back.
    """

    key = models.CharField(max_length=64)
    task_id = models.BigIntegerField()
    claim_number = models.BigIntegerField()
    admitted_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(name="bgtask_permit", fields=["key", "admitted_at"]),
        ]

    def __str__(self) -> str:
        return f"task {self.task_id}, claim {self.claim_number}"
