"""Nine single-column indexes give way to those that the queries use."""

from __future__ import annotations

from django.db import migrations, models

WAITING = models.Q(locked_by__isnull=True, failed_at__isnull=True)

UNINDEXED_IN_BOTH = {
    "priority": models.IntegerField(default=0),
    "queue": models.CharField(blank=True, max_length=190, null=True),
    "attempts": models.IntegerField(default=0),
    "locked_by": models.CharField(blank=True, max_length=64, null=True),
    "locked_at": models.DateTimeField(blank=True, null=True),
}
UNINDEXED_IN_TASK = {
    "task_name": models.CharField(max_length=190),
    "task_hash": models.CharField(max_length=40),
    "run_at": models.DateTimeField(),
    "failed_at": models.DateTimeField(blank=True, null=True),
}


class Migration(migrations.Migration):
    """Drop what is not used, then add what is."""

    dependencies = [("background_task", "0004_claims_and_workers")]

    operations = [
        *(
            migrations.AlterField(model_name=model, name=name, field=field)
            for model, fields in (
                ("completedtask", UNINDEXED_IN_BOTH),
                ("task", UNINDEXED_IN_BOTH | UNINDEXED_IN_TASK),
            )
            for name, field in fields.items()
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                name="bgtask_claim", fields=["priority", "run_at", "id"], condition=WAITING
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                name="bgtask_claim_queue",
                fields=["queue", "priority", "run_at", "id"],
                condition=WAITING,
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                name="bgtask_owner",
                fields=["locked_by"],
                condition=models.Q(locked_by__isnull=False),
            ),
        ),
        migrations.AddIndex(
            model_name="task", index=models.Index(name="bgtask_hash", fields=["task_hash"])
        ),
        *(
            migrations.AddConstraint(
                model_name=model,
                constraint=models.UniqueConstraint(name=name, fields=[field]),
            )
            for model, name, field in (
                ("completedtask", "bgtask_completed_uid", "uid"),
                ("task", "bgtask_uid", "uid"),
                ("task", "bgtask_unique_key", "unique_key"),
            )
        ),
    ]
