"""The library's background tasks.

Calling a decorated function does not run it. It saves a row, in the caller's transaction, and a
worker (``manage.py process_tasks``) runs it later. ``count_words.now(7)`` runs it right here.

A worker can be killed in the middle of a task, and the task is then started again. So each of
these functions is written such that running it twice leaves the same result as running it once.
Arguments are stored as JSON, which is why tasks take primary keys and not model instances.

``pause_seconds`` stands in for real work that takes long: the samples are small, and without it
there would be no time to watch a task, or to kill its worker in the middle.
"""

import io
import time
from collections import defaultdict

from background_task import background, progress
from django.core.files.base import ContentFile
from django.core.mail import send_mail
from PIL import Image

from library.models import Document, Picture, Report, words_in

THUMBNAIL_SIZE = (96, 96)


@background
def count_words(document_id: int, pause_seconds: float = 0.0) -> int:
    """Count the words of one document, line by line."""
    document = Document.objects.get(pk=document_id)
    lines, words = document.lines(), 0
    for number, line in enumerate(lines, start=1):
        words += len(words_in(line))
        progress(number, len(lines), f"{words} words so far")  # whoever watches sees a bar
        time.sleep(pause_seconds)
    document.word_count = words
    document.save(update_fields=["word_count"])
    return words


@background
def make_thumbnail(picture_id: int, pause_seconds: float = 0.0) -> None:
    """Save a small copy of one picture."""
    picture = Picture.objects.get(pk=picture_id)
    buffer = io.BytesIO()
    progress(1, 3, "reading the picture")
    time.sleep(pause_seconds)
    with picture.image.open("rb") as file, Image.open(file) as image:
        progress(2, 3, f"shrinking {image.width} x {image.height} pixels")
        time.sleep(pause_seconds)
        image.thumbnail(THUMBNAIL_SIZE)
        image.save(buffer, format="PNG")
    progress(3, 3, "saving")
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
    """List every word of the library with the documents that use it."""
    titles: dict[str, set[str]] = defaultdict(set)
    for document in Document.objects.order_by("title"):
        for word in document.words():
            titles[word].add(document.title)
        time.sleep(pause_seconds)
    lines = [f"{word}: {', '.join(sorted(titles[word]))}" for word in sorted(titles)]
    Report(name="Concordance", text="\n".join(lines)).save()
