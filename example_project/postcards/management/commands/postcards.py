"""``manage.py postcards``: queue some tasks; ``manage.py postcards ID...``: say how they stand."""

import asyncio
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone

from postcards import tasks


class Command(BaseCommand):
    """Queues postcards, or tells what has become of them."""

    help = "Queue some tasks and print their ids; with ids, print how these tasks stand"

    def add_arguments(self, parser):
        """Declare the arguments."""
        parser.add_argument("ids", nargs="*", help="results to look up")

    def handle(self, *args, **options):
        """Print a line for each."""
        for result_id in options["ids"]:
            self.stdout.write(self.line(tasks.write.get_backend().get_result(result_id)))
        for result in () if options["ids"] else self.queue():
            self.stdout.write(result.id)

    def queue(self):
        """Queue one task of each kind."""
        later = timezone.now() + timedelta(days=1)
        yield tasks.write.enqueue("Ada", place="London")
        yield asyncio.run(tasks.weigh.aenqueue("Dear Ada"))
        yield tasks.post.using(priority=-5).enqueue("Grace", "Dear Grace")
        yield tasks.post.enqueue("nobody", text="Dear nobody")
        yield tasks.write.using(run_after=later).enqueue("Alan")

    def line(self, result):
        """Return how a task stands."""
        text = f"{result.task.name} {result.status} after {result.attempts} attempts"
        if result.errors:
            return f"{text}: {result.errors[-1].exception_class.__name__}"
        return f"{text}: {result.return_value}" if result.is_finished else text
