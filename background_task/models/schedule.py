"""The table of schedules: when each periodic task ticks next."""

from __future__ import annotations

from django.db import models


class Schedule(models.Model):
    """One schedule of a periodic task.

    ``revision`` grows with each change of the other columns but ``seen_at``. Nobody changes a row
    but where the revision is the one that was read, so of two workers at the same tick one wins.
    """

    key = models.CharField(max_length=64, primary_key=True, editable=False)
    name = models.CharField(max_length=190)
    task_name = models.CharField(max_length=190)
    rule = models.TextField()
    digest = models.CharField(max_length=64, editable=False)
    last_tick_at = models.DateTimeField(null=True, blank=True)
    next_tick_at = models.DateTimeField(null=True, blank=True)
    is_paused = models.BooleanField(default=False)
    declared_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    revision = models.BigIntegerField(default=1, editable=False)

    def __str__(self) -> str:
        return self.name
