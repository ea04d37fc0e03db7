"""The library's background tasks.

Calling a decorated function does not run it. It saves a row, in the caller's transaction, and a
worker (``manage.py process_tasks``) runs it later. ``count_words.now(7)`` runs it right here.

A worker can be killed in the middle of a task, and the task is then started again. So each of
these functions is written such that running it twice leaves the same result as running it once.
Arguments are stored as JSON, which is why tasks take primary keys and not model instances.
"""

import io
import time
from collections import defaultdict

from background_task import background
from django.core.files.base import ContentFile
from django.core.mail import send_mail
from PIL import Image

from library.models import Document, Picture, Report

THUMBNAIL_SIZE = (96, 96)


@background
def count_words(document_id: int) -> int:
    """Count the words of one document."""
    document = Document.objects.get(pk=document_id)
    document.word_count = len(document.words())
    document.save(update_fields=["word_count"])
    return document.word_count


@background
def make_thumbnail(picture_id: int) -> None:
    """Save a small copy of one picture."""
    picture = Picture.objects.get(pk=picture_id)
    buffer = io.BytesIO()
    with picture.image.open("rb") as file, Image.open(file) as image:
        image.thumbnail(THUMBNAIL_SIZE)
        image.save(buffer, format="PNG")
    if picture.thumbnail:
        picture.thumbnail.delete(save=False)
    picture.thumbnail.save(f"{picture.pk}.png", ContentFile(buffer.getvalue()), save=False)
    picture.save(update_fields=["thumbnail"])


@background
def fetch_rating(document_id: int) -> None:
    """Ask a rating service that is always down on the first request.

    Raising is all a task has to do to be retried: after 6 seconds, then 21, then 86, and so on.

    Raises:
        ConnectionError: On the first request for each document.
    """
    document = Document.objects.get(pk=document_id)
    document.rating_requests += 1
    document.save(update_fields=["rating_requests"])
    if document.rating_requests == 1:
        raise ConnectionError("the rating service is down")
    document.rating = 1 + document.pk % 5
    document.save(update_fields=["rating"])


@background
def write_report() -> None:
    """Write how many documents and pictures the library holds; scheduled to repeat hourly."""
    counts = Document.objects.values_list("word_count", flat=True)
    words = sum(count or 0 for count in counts)
    text = f"{len(counts)} documents with {words} words, {Picture.objects.count()} pictures."
    Report(name="Hourly report", text=text).save()


@background(queue="mail")
def mail_report(address: str) -> None:
    """Mail the hourly report to somebody; usually scheduled some time ahead."""
    report = Report.objects.get(name="Hourly report")
    send_mail(report.name, report.text, None, [address])


@background
def build_concordance(pause_seconds: float = 0.0) -> None:
    """List every word of the library with the documents that use it.

    Args:
        pause_seconds: How long to rest after each document. It stands in for real work that takes
            long, so that there is time to stop or kill the worker in the middle.
    """
    titles: dict[str, set[str]] = defaultdict(set)
    for document in Document.objects.order_by("title"):
        for word in document.words():
            titles[word].add(document.title)
        time.sleep(pause_seconds)
    lines = [f"{word}: {', '.join(sorted(titles[word]))}" for word in sorted(titles)]
    Report(name="Concordance", text="\n".join(lines)).save()
