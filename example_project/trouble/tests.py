"""Each button adds what it says, and what it says happens."""

from unittest.mock import patch

from background_task import cancel
from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from trouble.tasks import crash
from trouble.views import TROUBLES


class ButtonTests(TestCase):
    """What the page does."""

    def press(self, name: str) -> str:
        """Press a button and return the page that follows."""
        return self.client.post(reverse("make-trouble", args=[name]), follow=True).content.decode()

    def test_each_button_stands_on_the_page_with_its_sentence(self) -> None:
        page = self.client.get(reverse("trouble")).content.decode()

        for name, trouble in TROUBLES.items():
            self.assertIn(reverse("make-trouble", args=[name]), page)
            self.assertInHTML(trouble.title, page)

    def test_buttons_add_so_many_rows(self) -> None:
        added = {
            "flaky": 1,
            "slow": 1,
            "crash": 1,
            "periodic": 1,
            "limited": 5,
            "cancelled": 2,
            "endless": 1,
        }
        for name, rows in added.items():
            before = Task.objects.count()
            self.assertIn(f"{rows} added to the queue", self.press(name))
            self.assertEqual(Task.objects.count(), before + rows)

    def test_flood_adds_three_hundred_rows_with_few_statements(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            self.press("flood")

        self.assertEqual(Task.objects.count(), 300)
        self.assertLess(len(queries), 60)

    def test_task_that_is_called_twice_is_added_once(self) -> None:
        self.assertIn("2 called, 1 added", self.press("unique"))
        self.assertIn("2 called, 0 added", self.press("unique"))

        self.assertEqual(Task.objects.count(), 1)

    def test_unknown_trouble_is_not_found_and_get_makes_none(self) -> None:
        known, unknown = (reverse("make-trouble", args=[name]) for name in ("slow", "no-such"))

        self.assertEqual(self.client.post(unknown).status_code, 404)
        self.assertEqual(self.client.get(known).status_code, 405)
        self.assertFalse(Task.objects.exists())


class TaskTests(TestCase):
    """What the tasks do."""

    def run_all(self, name: str) -> None:
        """Press a button and do what a worker would do, without the waits."""
        self.client.post(reverse("make-trouble", args=[name]))
        with patch("trouble.tasks.time.sleep"), self.assertLogs("background_task"):
            while Task.objects.exists():
                Task.objects.update(run_at=timezone.now())
                tasks.run_next_task()

    def test_flaky_task_works_at_its_third_attempt(self) -> None:
        self.run_all("flaky")

        self.assertEqual(CompletedTask.objects.succeeded().get().attempts, 3)

    def test_ticking_task_runs_six_times(self) -> None:
        self.run_all("periodic")

        self.assertEqual(CompletedTask.objects.succeeded().count(), 6)

    def test_slow_task_leaves_off_when_it_is_cancelled(self) -> None:
        self.client.post(reverse("make-trouble", args=["slow"]))
        [victim] = Task.objects.all()

        # A worker looks once a second whether somebody has cancelled what it runs.
        with (
            patch("trouble.tasks.time.sleep", lambda seconds: cancel(victim)),
            patch("background_task.current.CurrentTask.is_stopping", return_value=True),
        ):
            tasks.run_next_task()

        self.assertEqual(CompletedTask.objects.get().status, "cancelled")

    def test_crashing_task_ends_its_process_at_the_first_attempt_only(self) -> None:
        with patch("trouble.tasks.time.sleep"), patch("trouble.tasks.os._exit") as end:
            crash()
            tasks.run_next_task()

        end.assert_called_once_with(137)
