"""When each periodic task ticks next."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the table; workers enter what the code declares."""

    dependencies = [("background_task", "0009_results")]

    operations = [
        migrations.CreateModel(
            name="Schedule",
            fields=[
                (
                    "key",
                    models.CharField(
                        editable=False, max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=190)),
                ("task_name", models.CharField(max_length=190)),
                ("rule", models.TextField()),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("last_tick_at", models.DateTimeField(blank=True, null=True)),
                ("next_tick_at", models.DateTimeField(blank=True, null=True)),
                ("is_paused", models.BooleanField(default=False)),
                ("declared_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("revision", models.BigIntegerField(default=1, editable=False)),
            ],
        ),
    ]
