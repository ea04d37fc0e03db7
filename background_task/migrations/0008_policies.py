"""Options of single calls, and an end that is neither success nor failure."""

from __future__ import annotations

from django.db import migrations, models


def options(model):
    field = models.TextField(editable=False, null=True)
    return migrations.AddField(model_name=model, name="options", field=field)


class Migration(migrations.Migration):
    """Columns that may be null: no row is rewritten."""

    dependencies = [("background_task", "0007_leaner_indexes")]

    operations = [
        options("task"),
        options("completedtask"),
        migrations.AddField(
            model_name="completedtask",
            name="discarded_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
