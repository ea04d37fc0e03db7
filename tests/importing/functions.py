"""What the rows of the tests call."""

from background_task.tasks import Tasks

#: Lent to the project's registry for the time of a test.
own = Tasks()


class Backend:
    """Stands for the database backend; known by where it is defined."""

    __module__ = "background_task.backends"


class OtherBackend:
    """A backend whose tasks no worker of ours runs."""


class PlainTask:
    """What all versions of ``django.tasks.Task`` have in common."""

    queue_name = "default"
    priority = 0

    def __init__(self, func, *, takes_context=False):
        self.func = func
        self.takes_context = takes_context
        self.module_path = f"{func.__module__}.{func.__qualname__}"

    def enqueue(self, *args, **kwargs):
        raise AssertionError("an import enqueues nothing anew")


@PlainTask
def send(number, *, text=""):
    """A task."""


def with_context(context, number):
    """A task that is told of itself."""


with_context = PlainTask(with_context, takes_context=True)


def plain(number):
    """No task at all."""


@own.background(queue="slow")
def work(*args, **kwargs):
    """A function with @background."""


@own.background(max_concurrency=1, unique=True)
def alone(number):
    """One of which one may run at a time."""
