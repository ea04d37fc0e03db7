"""A row of the size of a task, to compare an enqueue with a bare `Model.save()`."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    """As many columns of the same types as a task has, and nothing else."""

    task_name = models.CharField(max_length=190)
    task_params = models.TextField()
    task_hash = models.CharField(max_length=40)
    verbose_name = models.CharField(max_length=255, null=True)
    priority = models.IntegerField(default=0)
    run_at = models.DateTimeField()
    repeat = models.BigIntegerField(default=0)
    repeat_until = models.DateTimeField(null=True)
    queue = models.CharField(max_length=190, null=True)
    attempts = models.IntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    locked_by = models.CharField(max_length=64, null=True)
    locked_at = models.DateTimeField(null=True)
    creator_content_type_id = models.IntegerField(null=True)
    creator_object_id = models.CharField(max_length=255, null=True)
    uid = models.UUIDField(null=True)
    enqueued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    claim_number = models.BigIntegerField(null=True)
    unique_key = models.CharField(max_length=190, null=True)
    limit_key = models.CharField(max_length=64, null=True)
    due_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    repeat_rule = models.TextField(null=True)
    backend = models.CharField(max_length=64, null=True)
    options = models.TextField(null=True)
    errors = models.TextField(null=True)
    progress_json = models.TextField(null=True)

    def __str__(self) -> str:
        return self.task_name
