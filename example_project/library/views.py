"""One page that shows the library, and buttons that call the task functions."""

from background_task.models import CompletedTask, Task
from background_task.tasks import TaskSchedule
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from library.models import Document, Picture, Report
from library.tasks import (
    build_concordance,
    count_words,
    fetch_rating,
    mail_report,
    make_thumbnail,
    write_report,
)


def index(request: HttpRequest) -> HttpResponse:
    """Show the library, what waits in the queue and what has run."""
    return render(
        request,
        "library/index.html",
        {
            "documents": Document.objects.order_by("title"),
            "pictures": Picture.objects.order_by("title"),
            "reports": Report.objects.order_by("name"),
            "waiting": Task.objects.order_by("run_at")[:10],
            "finished": CompletedTask.objects.order_by("-run_at")[:10],
            "works": WORKS,
        },
    )


def schedule_counts() -> None:
    """Count the words of every document."""
    for document in Document.objects.all():
        count_words(document.pk)


def schedule_thumbnails() -> None:
    """Make a thumbnail of every picture."""
    for picture in Picture.objects.all():
        make_thumbnail(picture.pk)


def schedule_ratings() -> None:
    """Fetch every rating; the first request of each document fails and is retried."""
    for document in Document.objects.all():
        fetch_rating(document.pk)


def schedule_report() -> None:
    """Write the report now and every hour; asking again moves the waiting row, adding none."""
    write_report(repeat=Task.HOURLY, schedule={"action": TaskSchedule.RESCHEDULE_EXISTING})


def schedule_mail() -> None:
    """Mail the hourly report in ten seconds."""
    mail_report("reader@example.org", schedule=10)


def schedule_concordance() -> None:
    """Build the concordance, taking two seconds for each document."""
    build_concordance(pause_seconds=2.0, verbose_name="slow concordance")


WORKS = {
    "counts": schedule_counts,
    "thumbnails": schedule_thumbnails,
    "ratings": schedule_ratings,
    "report": schedule_report,
    "mail": schedule_mail,
    "concordance": schedule_concordance,
}


@require_POST
def start(request: HttpRequest, work: str) -> HttpResponse:
    """Schedule one kind of work and return to the page at once; the worker does the rest."""
    if work not in WORKS:
        raise Http404(f"There is no work named {work!r}.")
    WORKS[work]()
    messages.success(request, f"Scheduled: {work}. Reload to see it done.")
    return redirect("index")
