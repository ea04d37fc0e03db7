"""What a task has returned, the errors of its attempts, and how far it has come."""

from __future__ import annotations

from django.db import migrations, models


def add_text(model, name):
    field = models.TextField(editable=False, null=True)
    return migrations.AddField(model_name=model, name=name, field=field)


class Migration(migrations.Migration):
    """Columns that may be null: no row is rewritten."""

    dependencies = [("background_task", "0008_policies")]

    operations = [
        add_text("task", "errors"),
        add_text("task", "progress_json"),
        add_text("completedtask", "errors"),
        add_text("completedtask", "progress_json"),
        add_text("completedtask", "return_value"),
    ]
