"""What has happened, added up, so that a page about it costs the same however much there was."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

#: How many seconds a row stands for: as workers write it, closed minutes, hours, and all of time.
FRESH, MINUTE, HOUR, EVER = 10, 60, 3600, 0


class Rollup(models.Model):
    """How the runs of a function, in a queue, have ended within some time.

    Workers only ever add rows. Later, one of them puts several together into one that stands for a
    longer time. So nobody waits for anybody, and the sum over all rows is always right.
    """

    SPANS: ClassVar = ((FRESH, "fresh"), (MINUTE, "minute"), (HOUR, "hour"), (EVER, "ever"))

    #: The beginning of the time, in whole spans since 1970.
    at = models.DateTimeField()
    span = models.IntegerField(choices=SPANS)
    task_name = models.CharField(max_length=190)
    queue = models.CharField(max_length=190, null=True)
    succeeded = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    retried = models.BigIntegerField(default=0)
    discarded = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    #: How long tasks were due before they were claimed, and how long they ran; in JSON, see
    #: ``background_task.rollup.Histogram``.
    waits = models.TextField()
    runs = models.TextField()
    #: The classes of the exceptions that runs ended with, and how many did; in JSON.
    errors = models.TextField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(name="bgtask_rollup", fields=["span", "at"])]

    def __str__(self) -> str:
        return f"{self.task_name}, {self.span} s from {self.at}"


class QueueSample(models.Model):
    """How long a queue was at some time; a worker looks once a minute."""

    at = models.DateTimeField()
    #: ``MINUTE``, or ``HOUR`` if it stands for the fullest minute of an hour.
    span = models.IntegerField(choices=((MINUTE, "minute"), (HOUR, "hour")), default=MINUTE)
    queue = models.CharField(max_length=190, null=True)
    due = models.BigIntegerField()
    running = models.BigIntegerField()
    #: For how long the oldest due task had waited; null if none was due.
    oldest_seconds = models.FloatField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(name="bgtask_queue_sample", fields=["span", "at"])]

    def __str__(self) -> str:
        return f"{self.queue or '(unnamed)'} at {self.at}"


class Dashboard(Rollup):
    """Stands for the dashboard in the admin's index and permissions; it has no rows of its own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = verbose_name_plural = "dashboard"


class Queue(QueueSample):
    """Stands for the list of queues in the admin's index and permissions; likewise."""

    class Meta:
        proxy = True
        default_permissions = ("view", "change")
        verbose_name = "queue"
