"""What is paused or cancelled, and how many runs a limit lets through."""

from __future__ import annotations

from django.db import migrations, models


def add_moment(model, name):
    field = models.DateTimeField(editable=False, null=True)
    return migrations.AddField(model_name=model, name=name, field=field)


class Migration(migrations.Migration):
    """Columns that may be null, an index of rows with a limit, and three small tables."""

    dependencies = [("background_task", "0010_periodic")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="limit_key",
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        add_moment("task", "due_at"),
        add_moment("task", "cancel_requested_at"),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(limit_key__isnull=False),
                fields=["limit_key", "priority", "due_at"],
                name="bgtask_limit",
            ),
        ),
        add_moment("completedtask", "cancelled_at"),
        migrations.CreateModel(
            name="Gate",
            fields=[
                (
                    "key",
                    models.CharField(
                        editable=False, max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=255)),
                ("max_running", models.IntegerField(null=True)),
                ("max_starts", models.IntegerField(null=True)),
                ("period_seconds", models.FloatField(null=True)),
                ("look_at", models.DateTimeField(db_index=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Pause",
            fields=[
                (
                    "key",
                    models.CharField(
                        editable=False, max_length=64, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("queue", "queue"), ("function", "function")], max_length=8
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=190)),
                ("paused_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Permit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=64)),
                ("task_id", models.BigIntegerField()),
                ("claim_number", models.BigIntegerField()),
                ("admitted_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["key", "admitted_at"], name="bgtask_permit"),
                ],
            },
        ),
    ]
