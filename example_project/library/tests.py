"""How to test code that uses background tasks.

Three questions, three ways to ask them:

1. Does my function do the right thing? ``task_function.now(...)`` calls it like any function.
2. Does my code schedule it? Call the code and look at the ``Task`` row. No worker is needed.
3. Does it work end to end, with arguments stored as JSON, retries and repetitions?
   ``tasks.run_next_task()`` does what a worker would do with the next row that is due.
"""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from django.core import mail
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import TestCase, override_settings
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from library.models import Document, Picture, Report
from library.tasks import (
    build_concordance,
    count_words,
    fetch_rating,
    mail_report,
    make_thumbnail,
    write_report,
)


class LibraryTestCase(TestCase):
    """Gives each test class its own media folder."""

    @classmethod
    def setUpClass(cls) -> None:
        """Point MEDIA_ROOT to a folder that is removed afterwards."""
        super().setUpClass()
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, folder)
        settings = override_settings(MEDIA_ROOT=folder)
        settings.enable()
        cls.addClassCleanup(settings.disable)

    def create_document(self, *, text: str, title: str = "A title") -> Document:
        """Save a document with the given text."""
        document = Document(title=title)
        document.text.save(f"{title}.txt", ContentFile(text.encode("utf-8")))
        return document


class NowTests(LibraryTestCase):
    """1. Call the function itself: ``.now`` runs it here and leaves the queue alone."""

    def test_count_words_now_returns_the_number_of_words(self) -> None:
        document = self.create_document(text="To be, or not to be?")

        self.assertEqual(count_words.now(document.pk), 6)

        document.refresh_from_db()
        self.assertEqual(document.word_count, 6)
        self.assertFalse(Task.objects.exists())
        self.assertFalse(CompletedTask.objects.exists())

    def test_fetch_rating_now_raises_as_any_function_does(self) -> None:
        document = self.create_document(text="word")

        with self.assertRaises(ConnectionError):
            fetch_rating.now(document.pk)

    def test_make_thumbnail_now_twice_leaves_one_small_file(self) -> None:
        call_command("load_samples", verbosity=0)
        picture = Picture.objects.get(title="boat")

        make_thumbnail.now(picture.pk)
        make_thumbnail.now(picture.pk)

        picture.refresh_from_db()
        with Image.open(picture.thumbnail.path) as thumbnail:
            self.assertEqual(thumbnail.size, (96, 64))
        self.assertEqual(len(list(Path(picture.thumbnail.path).parent.iterdir())), 1)

    def test_build_concordance_now_lists_each_word_with_its_documents(self) -> None:
        self.create_document(title="one", text="sea salt")
        self.create_document(title="two", text="Sea, wind.")

        build_concordance.now()

        text = Report.objects.get(name="Concordance").text
        self.assertEqual(text.splitlines(), ["salt: one", "sea: one, two", "wind: two"])


class SchedulingTests(LibraryTestCase):
    """2. Call the code and look at the row it left."""

    def test_call_saves_a_row_and_does_not_run_the_function(self) -> None:
        document = self.create_document(text="word")

        count_words(document.pk)

        task = Task.objects.get()
        self.assertEqual(task.task_name, "library.tasks.count_words")
        self.assertEqual(task.params(), ([document.pk], {}))
        document.refresh_from_db()
        self.assertIsNone(document.word_count)

    def test_rows_are_found_by_name_and_arguments(self) -> None:
        document = self.create_document(text="word")

        count_words(document.pk)

        name = "library.tasks.count_words"
        self.assertTrue(Task.objects.get_task(name, args=[document.pk]).exists())
        self.assertFalse(Task.objects.get_task(name, args=[document.pk + 1]).exists())

    def test_schedule_keyword_sets_when_the_task_is_due(self) -> None:
        before = timezone.now()

        mail_report("reader@example.org", schedule=timedelta(minutes=5))

        task = Task.objects.get()
        self.assertEqual(task.queue, "mail")
        self.assertGreaterEqual(task.run_at, before + timedelta(minutes=5))
        self.assertLess(task.run_at, timezone.now() + timedelta(minutes=6))

    def test_button_on_the_page_schedules_one_row_for_each_chosen_document(self) -> None:
        documents = [self.create_document(title=title, text="word") for title in ("one", "two")]
        self.create_document(title="three", text="word")

        chosen = {"texts-chosen": [document.pk for document in documents]}
        response = self.client.post(reverse("texts"), chosen, follow=True)

        self.assertRedirects(response, reverse("index") + "#mine")
        names = Task.objects.values_list("verbose_name", flat=True).order_by("pk")
        self.assertEqual(list(names), ["Count one", "Count two"])
        self.assertContains(response, "Count one")

    def test_unknown_work_is_not_found_and_get_schedules_nothing(self) -> None:
        self.assertEqual(self.client.post(reverse("start", args=["no-such"])).status_code, 404)
        self.assertEqual(self.client.get(reverse("start", args=["report"])).status_code, 405)
        self.assertFalse(Task.objects.exists())

    def test_asking_for_the_hourly_report_twice_leaves_one_row(self) -> None:
        for _ in range(2):
            self.client.post(reverse("start", args=["report"]))

        self.assertEqual(Task.objects.get().repeat, Task.HOURLY)


class WorkerTests(LibraryTestCase):
    """3. Do what a worker does, one row at a time."""

    def test_run_next_task_runs_the_row_and_archives_it(self) -> None:
        document = self.create_document(text="three short words")
        count_words(document.pk)

        self.assertTrue(tasks.run_next_task())

        document.refresh_from_db()
        self.assertEqual(document.word_count, 3)
        self.assertFalse(Task.objects.exists())
        self.assertEqual(CompletedTask.objects.succeeded().get().attempts, 1)
        self.assertFalse(tasks.run_next_task(), "nothing else was due")

    def test_failing_task_waits_six_seconds_for_its_second_attempt(self) -> None:
        document = self.create_document(text="word")
        fetch_rating(document.pk)
        before = timezone.now()

        with self.assertLogs("background_task", "ERROR"):
            tasks.run_next_task()

        task = Task.objects.get()
        self.assertEqual(task.attempts, 1)
        self.assertIn("the rating service is down", task.last_error)
        self.assertGreaterEqual(task.run_at, before + timedelta(seconds=6))
        self.assertFalse(tasks.run_next_task(), "not due yet")

        Task.objects.update(run_at=before)
        tasks.run_next_task()

        document.refresh_from_db()
        self.assertIsNotNone(document.rating)
        self.assertEqual(CompletedTask.objects.succeeded().get().attempts, 2)

    def test_hourly_report_leaves_its_next_run_one_hour_later(self) -> None:
        write_report(repeat=Task.HOURLY)
        first = Task.objects.get()

        tasks.run_next_task()

        following = Task.objects.get()
        self.assertNotEqual(following.pk, first.pk)
        self.assertEqual(following.run_at, first.run_at + timedelta(hours=1))
        self.assertTrue(Report.objects.filter(name="Hourly report").exists())

    def test_mail_queue_sends_the_report(self) -> None:
        write_report.now()
        mail_report("reader@example.org")

        tasks.run_next_task(queue="mail")

        self.assertEqual(mail.outbox[0].to, ["reader@example.org"])
        self.assertIn("0 documents", mail.outbox[0].body)
