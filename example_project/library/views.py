"""The start page, and what its buttons do: call task functions and remember the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from background_task.models import CompletedTask, Task
from background_task.tasks import TaskSchedule
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from library.forms import PicturesForm, TextsForm
from library.mine import remember, started
from library.models import Document, Picture, Report
from library.tasks import (
    build_concordance,
    count_words,
    fetch_rating,
    mail_report,
    make_thumbnail,
    write_report,
)

#: How long tasks rest between their steps, so that there is something to watch.
PAUSE_SECONDS = 0.4


def index(request: HttpRequest) -> HttpResponse:
    """Show the library, and how the visitor's tasks stand."""
    return show(request, texts=TextsForm(prefix="texts"), pictures=PicturesForm(prefix="pictures"))


def show(
    request: HttpRequest, *, texts: TextsForm, pictures: PicturesForm, status: int = 200
) -> HttpResponse:
    """Answer with the start page."""
    context = {
        "page": "index",
        "texts": texts,
        "pictures": pictures,
        "documents": Document.objects.order_by("title"),
        "shots": Picture.objects.order_by("title"),
        "reports": Report.objects.order_by("name"),
        "works": WORKS,
        "mine": started(request),
    }
    return render(request, "library/index.html", context, status=status)


@require_POST
def count_texts(request: HttpRequest) -> HttpResponse:
    """Count the words of the chosen texts; the answer does not wait for that."""
    form = TextsForm(request.POST, request.FILES, prefix="texts")
    if not form.is_valid():
        return show(request, texts=form, pictures=PicturesForm(prefix="pictures"), status=422)
    tasks = [
        count_words(document.pk, pause_seconds=PAUSE_SECONDS, verbose_name=f"Count {document}")
        for document in form.documents()
    ]
    remember(request, *tasks)
    return redirect(reverse("index") + "#mine")


@require_POST
def shrink_pictures(request: HttpRequest) -> HttpResponse:
    """Make thumbnails of the chosen pictures; the answer does not wait for that."""
    form = PicturesForm(request.POST, request.FILES, prefix="pictures")
    if not form.is_valid():
        return show(request, texts=TextsForm(prefix="texts"), pictures=form, status=422)
    tasks = [
        make_thumbnail(
            picture.pk, pause_seconds=3 * PAUSE_SECONDS, verbose_name=f"Shrink {picture}"
        )
        for picture in form.pictures()
    ]
    remember(request, *tasks)
    return redirect(reverse("index") + "#mine")


def find_task(request: HttpRequest, uid: UUID) -> HttpResponse:
    """Go to the task's page in the admin, wherever its row is now."""
    for table in (Task, CompletedTask):
        row = table.objects.filter(uid=uid).first()
        if row is not None:
            return redirect(f"admin:background_task_{table._meta.model_name}_change", row.pk)
    raise Http404(f"No task has the id {uid}; old ones are removed after some time.")


def schedule_ratings() -> list[Task | None]:
    """Fetch every rating; the first request for each document fails and is retried."""
    return [fetch_rating(document.pk) for document in Document.objects.all()]


def schedule_report() -> list[Task | None]:
    """Write the report now and every hour; asking again moves the waiting row, adding none."""
    return [write_report(repeat=Task.HOURLY, schedule={"action": TaskSchedule.RESCHEDULE_EXISTING})]


def schedule_mail() -> list[Task | None]:
    """Mail the hourly report in ten seconds."""
    return [mail_report("reader@example.org", schedule=10)]


def schedule_concordance() -> list[Task | None]:
    """Build the concordance, taking two seconds for each document."""
    return [build_concordance(pause_seconds=2.0, verbose_name="slow concordance")]


@dataclass(frozen=True)
class Work:
    """A button: what it does, for people, and the function that calls the tasks."""

    sentence: str
    start: Callable[[], list[Task | None]]


WORKS = {
    "ratings": Work("Ask for each text's rating; the service fails at first.", schedule_ratings),
    "report": Work("Write it now, and then every hour.", schedule_report),
    "mail": Work("Mail the report in ten seconds, in a queue of its own.", schedule_mail),
    "concordance": Work("List every word, two seconds for each text.", schedule_concordance),
}


@require_POST
def start(request: HttpRequest, work: str) -> HttpResponse:
    """Schedule one kind of work and return to the page at once; the worker does the rest."""
    if work not in WORKS:
        raise Http404(f"There is no work named {work!r}.")
    tasks = WORKS[work].start()
    remember(request, *tasks)
    messages.success(request, f"Scheduled: {work}.")
    return redirect(reverse("index") + "#mine")
