"""Rows to lock where a unique index would make callers of different tasks wait (MySQL, MariaDB)."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the table; its rows come into being when they are first used."""

    dependencies = [("background_task", "0005_indexes_for_the_queries")]

    operations = [
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("number", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
            ],
        ),
    ]
