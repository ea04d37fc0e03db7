"""How the pages answer: what is chosen, what is uploaded, and what is remembered."""

from unittest.mock import patch

from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse

from example.middleware import log_in_everybody
from library.models import Document, Picture
from library.tests import LibraryTestCase


def text_file(content: bytes, name: str = "notes.html") -> SimpleUploadedFile:
    """Return what a browser sends of a file."""
    return SimpleUploadedFile(name, content)


class UploadTests(LibraryTestCase):
    """Files of the visitors' own."""

    def test_uploaded_text_is_counted_and_gets_a_name_that_no_browser_runs(self) -> None:
        upload = text_file(b"<script>two words</script>")

        with patch("library.views.PAUSE_SECONDS", 0):
            self.client.post(reverse("texts"), {"texts-upload": upload})
        tasks.run_next_task()

        document = Document.objects.get(title="notes")
        self.assertEqual(document.word_count, 2)
        self.assertRegex(document.text.name, r"^texts/upload\w*\.txt$")

    def test_second_file_of_one_name_gets_a_number(self) -> None:
        for _ in range(2):
            self.client.post(reverse("texts"), {"texts-upload": text_file(b"word")})

        titles = Document.objects.values_list("title", flat=True).order_by("pk")
        self.assertEqual(list(titles), ["notes", "notes 2"])

    def test_what_is_no_text_or_no_picture_is_refused_with_a_reason(self) -> None:
        binary = self.client.post(reverse("texts"), {"texts-upload": text_file(b"\xff\xfe\x00")})
        words = self.client.post(reverse("pictures"), {"pictures-upload": text_file(b"words")})

        self.assertContains(binary, "no text in UTF-8", status_code=422)
        self.assertContains(words, "Upload a valid image", status_code=422)
        self.assertFalse(Task.objects.exists() or Document.objects.exists())

    def test_nothing_chosen_is_refused_with_a_reason(self) -> None:
        response = self.client.post(reverse("pictures"))

        self.assertContains(response, "Pick at least one", status_code=422)

    def test_chosen_picture_gets_a_thumbnail_that_the_page_shows(self) -> None:
        call_command("load_samples", verbosity=0)
        boat = Picture.objects.get(title="boat")

        with patch("library.views.PAUSE_SECONDS", 0):
            self.client.post(reverse("pictures"), {"pictures-chosen": [boat.pk]})
        tasks.run_next_task()

        boat.refresh_from_db()
        self.assertContains(self.client.get(reverse("index")), boat.thumbnail.url)


class MineTests(LibraryTestCase):
    """What a visitor has started stays on the page."""

    def test_finished_task_is_still_on_the_page_of_who_started_it_only(self) -> None:
        self.client.post(reverse("start", args=["report"]))
        tasks.run_next_task()

        page = self.client.get(reverse("index")).content.decode()
        others = self.client_class().get(reverse("index")).content.decode()

        uid = str(CompletedTask.objects.get().uid)
        self.assertIn(uid, page)
        self.assertNotIn(uid, others)

    def test_link_of_a_task_leads_to_its_page_before_and_after_its_end(self) -> None:
        self.client.post(reverse("start", args=["report"]))
        link = reverse("task", args=[Task.objects.get().uid])

        before = self.client.get(link)
        tasks.run_next_task()
        after = self.client.get(link)

        self.assertIn("/admin/background_task/task/", before["Location"])
        self.assertIn("/admin/background_task/completedtask/", after["Location"])

    def test_link_of_an_unknown_task_is_not_found(self) -> None:
        link = reverse("task", args=["00000000-0000-0000-0000-000000000000"])

        self.assertEqual(self.client.get(link).status_code, 404)


class MiddlewareTests(LibraryTestCase):
    """What happens to all requests and responses."""

    def test_pages_forbid_what_is_inline_or_from_elsewhere(self) -> None:
        response = self.client.get(reverse("index"))

        self.assertIn("script-src 'self'", response["Content-Security-Policy"])
        self.assertNotContains(response, "style=")

    def test_visitors_of_the_demo_are_the_administrator(self) -> None:
        administrator = get_user_model().objects.create_superuser("admin", "", "admin")
        request = RequestFactory().get("/")
        request.session, request.user = self.client.session, AnonymousUser()

        log_in_everybody(lambda request: HttpResponse(request.user.username))(request)

        self.assertEqual(request.user, administrator)

    def test_visitors_without_a_demo_are_nobody(self) -> None:
        get_user_model().objects.create_superuser("admin", "", "admin")

        response = self.client.get(reverse("admin:index"))

        self.assertEqual(response.status_code, 302)
