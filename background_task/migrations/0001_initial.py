"""The tables as django-background-tasks has made them since 2017; recorded in users' databases."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

REPEAT_CHOICES = [
    (3600, "hourly"),
    (86400, "daily"),
    (604800, "weekly"),
    (1209600, "every 2 weeks"),
    (2419200, "every 4 weeks"),
    (0, "never"),
]


def columns(*, related_name: str) -> list[tuple[str, models.Field]]:
    """Return the columns that both tables have."""
    return [
        ("id", models.AutoField(primary_key=True, serialize=False)),
        ("task_name", models.CharField(max_length=190, db_index=True)),
        ("task_params", models.TextField()),
        ("task_hash", models.CharField(max_length=40, db_index=True)),
        ("verbose_name", models.CharField(max_length=255, null=True, blank=True)),
        ("priority", models.IntegerField(default=0, db_index=True)),
        ("run_at", models.DateTimeField(db_index=True)),
        ("repeat", models.BigIntegerField(choices=REPEAT_CHOICES, default=0)),
        ("repeat_until", models.DateTimeField(null=True, blank=True)),
        ("queue", models.CharField(max_length=190, null=True, blank=True, db_index=True)),
        ("attempts", models.IntegerField(default=0, db_index=True)),
        ("failed_at", models.DateTimeField(null=True, blank=True, db_index=True)),
        ("last_error", models.TextField(blank=True)),
        ("locked_by", models.CharField(max_length=64, null=True, blank=True, db_index=True)),
        ("locked_at", models.DateTimeField(null=True, blank=True, db_index=True)),
        ("creator_object_id", models.PositiveIntegerField(null=True, blank=True)),
        (
            "creator_content_type",
            models.ForeignKey(
                to="contenttypes.ContentType",
                null=True,
                blank=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name=related_name,
            ),
        ),
    ]


class Migration(migrations.Migration):
    """Create both tables."""

    initial = True

    dependencies = [("contenttypes", "0002_remove_content_type_name")]

    operations = [
        migrations.CreateModel(
            name="CompletedTask", fields=columns(related_name="completed_background_task")
        ),
        migrations.CreateModel(
            name="Task",
            fields=columns(related_name="background_task"),
            options={"db_table": "background_task"},
        ),
    ]
