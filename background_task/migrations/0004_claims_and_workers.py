"""What fenced claims need. Every new column is nullable: 1.x may still insert rows meanwhile."""

from __future__ import annotations

from django.db import migrations, models

import background_task.fields

SHARED = {
    "uid": background_task.fields.UidField(editable=False, null=True),
    "enqueued_at": models.DateTimeField(editable=False, null=True),
    "started_at": models.DateTimeField(editable=False, null=True),
}
LIVE = {
    "claim_number": background_task.fields.ClaimNumberField(editable=False, null=True),
    "unique_key": models.CharField(editable=False, max_length=190, null=True),
}


class Migration(migrations.Migration):
    """Add the columns and the table of workers."""

    dependencies = [("background_task", "0003_wider_keys")]

    operations = [
        migrations.CreateModel(
            name="Worker",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=64, unique=True)),
                ("host", models.CharField(max_length=255)),
                ("pid", models.BigIntegerField()),
                ("queues", models.TextField(blank=True)),
                ("capacity", models.IntegerField(default=1)),
                ("started_at", models.DateTimeField()),
                ("heartbeat_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("stopped_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        *(
            migrations.AddField(model_name=model, name=name, field=field)
            for model, fields in (("completedtask", SHARED), ("task", SHARED | LIVE))
            for name, field in fields.items()
        ),
    ]
