"""Models that tests write to from inside tasks, or use as creators of tasks."""

import uuid

from django.db import models
from django.utils import timezone


class Ledger(models.Model):
    """One row per effect of a task, so a test can count how often something happened."""

    key = models.CharField(max_length=190, db_index=True)
    created = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.key


class UUIDOwner(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    def __str__(self) -> str:
        return str(self.id)


class TextOwner(models.Model):
    code = models.CharField(primary_key=True, max_length=60)

    def __str__(self) -> str:
        return self.code
