"""Options of single calls, rules of recurrence, and an end that is neither success nor failure."""

from __future__ import annotations

from django.db import migrations, models


def add_text(model, name):
    field = models.TextField(editable=False, null=True)
    return migrations.AddField(model_name=model, name=name, field=field)


class Migration(migrations.Migration):
    """Columns that may be null: no row is rewritten."""

    dependencies = [("background_task", "0007_leaner_indexes")]

    operations = [
        add_text("task", "options"),
        add_text("task", "repeat_rule"),
        add_text("completedtask", "options"),
        add_text("completedtask", "repeat_rule"),
        migrations.AddField(
            model_name="completedtask",
            name="discarded_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
