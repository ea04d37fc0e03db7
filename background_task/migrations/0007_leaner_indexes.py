"""Fewer indexes to write into at each claim and each finish."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import background_task.models.constraint


class Unindex(migrations.AlterField):
    """Take the index from a column that had ``db_index=True``, and do nothing else.

    Django's own operation would come to the same, but on SQLite it copies the whole table.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model, field = self._field_with_index(from_state, app_label)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        for name in schema_editor._constraint_names(
            model,
            [field.column],
            index=True,
            unique=False,
            type_=models.Index.suffix,
            exclude={index.name for index in model._meta.indexes},
        ):
            schema_editor.execute(schema_editor._delete_index_sql(model, name))

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model, field = self._field_with_index(to_state, app_label)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            for statement in schema_editor._field_indexes_sql(model, field):
                schema_editor.execute(statement)

    def _field_with_index(self, state, app_label):
        model = state.apps.get_model(app_label, self.model_name)
        return model, model._meta.get_field(self.name)


def creator(related_name):
    return models.ForeignKey(
        blank=True,
        db_index=False,
        null=True,
        on_delete=django.db.models.deletion.CASCADE,
        related_name=related_name,
        to="contenttypes.contenttype",
    )


def add_index(model, name, fields, *, condition=None):
    return migrations.AddIndex(
        model_name=model, index=models.Index(name=name, fields=fields, condition=condition)
    )


WITH_CREATOR = models.Q(creator_content_type__isnull=False)
CREATOR = ["creator_content_type", "creator_object_id"]


class Migration(migrations.Migration):
    """One transaction where the database allows it: all of it is done, or nothing.

    The tables in the order in which a finish locks them, and each table's strongest lock first:
    so nobody who has to wait for this can have what it waits for.
    """

    dependencies = [("background_task", "0006_turn")]

    operations = [
        migrations.RemoveConstraint(model_name="task", name="bgtask_unique_key"),
        migrations.AddConstraint(
            model_name="task",
            constraint=background_task.models.constraint.UniqueUnlessNull(
                name="bgtask_unique_key",
                fields=["unique_key"],
                condition=models.Q(unique_key__isnull=False),
            ),
        ),
        add_index("task", "bgtask_creator", CREATOR, condition=WITH_CREATOR),
        # After the index that replaces it: MySQL gives up no foreign key's last one.
        Unindex("task", "creator_content_type", creator("background_task")),
        Unindex("completedtask", "task_hash", models.CharField(max_length=40)),
        Unindex("completedtask", "task_name", models.CharField(max_length=190)),
        Unindex("completedtask", "failed_at", models.DateTimeField(blank=True, null=True)),
        add_index("completedtask", "bgtask_completed_name", ["task_name"]),
        add_index(
            "completedtask",
            "bgtask_completed_failed",
            ["failed_at"],
            condition=models.Q(failed_at__isnull=False),
        ),
        add_index("completedtask", "bgtask_completed_creator", CREATOR, condition=WITH_CREATOR),
        Unindex("completedtask", "creator_content_type", creator("completed_background_task")),
    ]
