"""Shorten two columns of databases made before 2018-08 to what utf8mb4 indexes allow on MySQL."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Changes nothing in databases made by today's ``0001_initial``."""

    dependencies = [("background_task", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name=model,
            name=name,
            field=models.CharField(max_length=190, db_index=True, **options),
        )
        for model in ("completedtask", "task")
        for name, options in (("queue", {"null": True, "blank": True}), ("task_name", {}))
    ]
