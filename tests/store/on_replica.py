"""Do, in a project that reads from a replica, what the first argument names. A process of its own.

The replica is the same database over a connection that refuses to write.
"""

import sys

import django


class Router:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, *args, **hints):
        return True


def main():
    django.setup()
    from django.contrib import admin

    from background_task import api
    from background_task.admin import TaskAdmin, inc_priority
    from background_task.models import CompletedTask, Task
    from background_task.tasks import tasks
    from tests.backends.tasks import add

    ran = []
    proxy = tasks.background(name="routed")(lambda: ran.append(1))
    proxy(repeat=10)
    row = Task.objects.get()
    assert row._state.db == "replica"

    def run_task():
        tasks.run_task(row)
        assert (ran, CompletedTask.objects.count()) == ([1], 1)

    def run_next_task():
        assert tasks.run_next_task()
        assert (ran, CompletedTask.objects.count()) == ([1], 1)

    def raise_priority():
        rows = TaskAdmin(Task, admin.site).get_queryset(None)
        inc_priority(None, None, rows.filter(pk=row.pk))
        assert Task.objects.get().priority == 1

    def fail_and_reschedule():
        row.reschedule(ValueError, ValueError("x"), None)
        assert Task.objects.get().attempts == 1

    def lock():
        assert row.lock("me").locked_by == Task.objects.get().locked_by == "me"

    def repeat():
        assert row.create_repetition()
        assert Task.objects.count() == 2

    def archive():
        assert row.create_completed_task() == CompletedTask.objects.get()

    def queue_by_a_backend():
        result = add.enqueue(1, second=2)
        assert add.get_result(result.id).status == "READY"
        assert [done.id for done in api.process_tasks(backend="default")] == [result.id]
        result.refresh()
        assert result.return_value == 3
        assert CompletedTask.objects.get()._state.db == "replica"

    deeds = (
        run_task,
        run_next_task,
        raise_priority,
        fail_and_reschedule,
        lock,
        repeat,
        archive,
        queue_by_a_backend,
    )
    {deed.__name__: deed for deed in deeds}[sys.argv[1]]()
    print("done")  # noqa: T201


if __name__ == "__main__":
    main()
