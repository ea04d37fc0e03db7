"""64-bit primary keys, and creators with any kind of primary key (UUIDs too)."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations, models

import background_task.fields

#: What the old integer column could hold.
LARGEST_INTEGER = 2**31 - 1


def invented_migrations() -> list[tuple[str, str]]:
    """Return the migrations numbered 0003 that somebody's Django put beside this one.

    Up to 1.2.8 the app did not pin the type of its primary keys, so ``makemigrations`` could write
    a ``0003_alter_completedtask_id_alter_task_id`` into the installed package. Where such a file
    is still there, this migration comes after it; otherwise there would be two last migrations.
    """
    here = Path(__file__)
    return [
        ("background_task", path.stem)
        for path in sorted(here.parent.glob("0003_*.py"))
        if path.stem != here.stem
    ]


def refuse_keys_that_do_not_fit(apps, schema_editor):
    """Going back, stop before a creator is lost."""
    for name in ("Task", "CompletedTask"):
        model = apps.get_model("background_task", name)
        rows = model.objects.using(schema_editor.connection.alias)
        for key in rows.exclude(creator_object_id=None).values_list("creator_object_id", flat=True):
            if not isinstance(key, int) or not 0 <= key <= LARGEST_INTEGER:
                raise ValueError(
                    f"{name} has a creator with the primary key {key!r}, which the integer column "
                    "of versions before 2.0 cannot hold; delete such rows or set their "
                    "creator_object_id to NULL before migrating back"
                )


class Migration(migrations.Migration):
    """Alter the keys of both tables."""

    dependencies = [("background_task", "0002_auto_20170927_1109"), *invented_migrations()]

    operations = [
        *(
            migrations.AlterField(
                model_name=model,
                name="id",
                field=models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            )
            for model in ("completedtask", "task")
        ),
        *(
            migrations.AlterField(
                model_name=model,
                name="creator_object_id",
                field=background_task.fields.OwnerKeyField(blank=True, max_length=255, null=True),
            )
            for model in ("completedtask", "task")
        ),
        migrations.RunPython(
            migrations.RunPython.noop, refuse_keys_that_do_not_fit, elidable=False
        ),
    ]
