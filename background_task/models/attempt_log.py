"""What attempts have written to the log."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from ..fields import UidField


class AttemptLog(models.Model):
    """The log lines of one attempt, for people who look at the task; see ``log_capture``."""

    #: The task's; it survives the move to the archive.
    uid = UidField()
    attempt = models.IntegerField()
    worker = models.CharField(max_length=64)
    at = models.DateTimeField()
    text = models.TextField()

    class Meta:
        indexes: ClassVar = [
            models.Index(name="bgtask_log_uid", fields=["uid"]),
            models.Index(name="bgtask_log_at", fields=["at"]),
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.uid}"
