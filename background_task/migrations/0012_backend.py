"""Which of the project's ``TASKS`` a task belongs to."""

from __future__ import annotations

from django.db import migrations, models


def add_backend(model):
    field = models.CharField(editable=False, max_length=64, null=True)
    return migrations.AddField(model_name=model, name="backend", field=field)


class Migration(migrations.Migration):
    """A column that may be null: null is a task of ``@background``."""

    dependencies = [("background_task", "0011_flow_control")]

    operations = [add_backend("task"), add_backend("completedtask")]
