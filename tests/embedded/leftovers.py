"""What a worker leaves that has ended out of order."""

from background_task.models import Task, Worker


def assert_nothing_is_left():
    assert not Worker.objects.filter(stopped_at=None).exists()
    assert not Task.objects.filter(locked_by__isnull=False).exists()
