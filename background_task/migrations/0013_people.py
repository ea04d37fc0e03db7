"""What people look at: rollups, samples of queues, logs of attempts, and rights of their own."""

from __future__ import annotations

from django.db import migrations, models

import background_task.fields
from background_task.models.rollup import EVER, FRESH, HOUR, MINUTE

SPANS = [(FRESH, "fresh"), (MINUTE, "minute"), (HOUR, "hour"), (EVER, "ever")]
COUNTED = ("succeeded", "failed", "retried", "discarded", "cancelled")


def add_null(model, name, field):
    return migrations.AddField(model_name=model, name=name, field=field(editable=False, null=True))


def key():
    return (
        "id",
        models.BigAutoField(
            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
        ),
    )


def index(name, *fields):
    return models.Index(name=name, fields=list(fields))


class Migration(migrations.Migration):
    """Columns that may be null, three small tables, and two entries of the admin's index."""

    dependencies = [("background_task", "0012_backend")]

    operations = [
        migrations.AlterModelOptions(
            name="task",
            options={
                "permissions": [
                    ("run_task", "Can run tasks now and try them anew"),
                    ("cancel_task", "Can cancel and discard tasks"),
                ]
            },
        ),
        add_null("task", "trace_context", models.TextField),
        add_null("completedtask", "trace_context", models.TextField),
        add_null("worker", "memory_bytes", models.BigIntegerField),
        add_null("worker", "processed", models.BigIntegerField),
        migrations.CreateModel(
            name="AttemptLog",
            fields=[
                key(),
                ("uid", background_task.fields.UidField()),
                ("attempt", models.IntegerField()),
                ("worker", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("text", models.TextField()),
            ],
            options={"indexes": [index("bgtask_log_uid", "uid"), index("bgtask_log_at", "at")]},
        ),
        migrations.CreateModel(
            name="QueueSample",
            fields=[
                key(),
                ("at", models.DateTimeField()),
                ("span", models.IntegerField(choices=SPANS[1:3], default=MINUTE)),
                ("queue", models.CharField(max_length=190, null=True)),
                ("due", models.BigIntegerField()),
                ("running", models.BigIntegerField()),
                ("oldest_seconds", models.FloatField(null=True)),
            ],
            options={"indexes": [index("bgtask_queue_sample", "span", "at")]},
        ),
        migrations.CreateModel(
            name="Rollup",
            fields=[
                key(),
                ("at", models.DateTimeField()),
                ("span", models.IntegerField(choices=SPANS)),
                ("task_name", models.CharField(max_length=190)),
                ("queue", models.CharField(max_length=190, null=True)),
                *((name, models.BigIntegerField(default=0)) for name in COUNTED),
                ("waits", models.TextField()),
                ("runs", models.TextField()),
                ("errors", models.TextField(null=True)),
            ],
            options={"indexes": [index("bgtask_rollup", "span", "at")]},
        ),
        migrations.CreateModel(
            name="Queue",
            fields=[],
            options={
                "verbose_name": "queue",
                "proxy": True,
                "default_permissions": ("view", "change"),
                "indexes": [],
                "constraints": [],
            },
            bases=("background_task.queuesample",),
        ),
        migrations.CreateModel(
            name="Dashboard",
            fields=[],
            options={
                "verbose_name": "dashboard",
                "verbose_name_plural": "dashboard",
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("background_task.rollup",),
        ),
    ]
