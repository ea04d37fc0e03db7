"""What the rows of the tests call."""

from background_task.task_framework import task
from background_task.tasks import Tasks

#: Lent to the project's registry for the time of a test.
own = Tasks()


@task
def send(number, *, text=""):
    """A task."""


@task(takes_context=True)
def with_context(context, number):
    """A task that is told of itself."""


def plain(number):
    """No task at all."""


@own.background(queue="slow")
def work(*args, **kwargs):
    """A function with @background."""


@own.background(max_concurrency=1, unique=True)
def alone(number):
    """One of which one may run at a time."""
