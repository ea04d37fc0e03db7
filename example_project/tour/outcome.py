"""The end of the demo: what was expected, whether it happened, and where to look next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from background_task.models import CompletedTask, Task
from background_task.tasks import TaskProxy
from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.fields.files import ImageFieldFile
from PIL import Image

from library.models import Document, Picture, Report
from library.tasks import (
    THUMBNAIL_SIZE,
    build_concordance,
    count_words,
    fetch_rating,
    mail_report,
    make_thumbnail,
    write_report,
)
from tour.observer import Observer
from tour.terminal import Terminal

MAIL_DELAY = timedelta(seconds=4)
FIRST_RETRY = timedelta(seconds=6)
#: A row's due time and the time it was saved are read from the clock one after the other.
TOLERANCE = timedelta(seconds=1)


def report(*, terminal: Terminal, observer: Observer, log_dir: Path) -> bool:
    """Print the summary and tell whether everything that should have happened did."""
    terminal.heading("Summary")
    terminal.table(
        ["task", "rows", "done", "failed attempts", "lost attempts"],
        [
            (name, count.rows, count.done, count.failed_attempts, count.lost_attempts)
            for name, count in observer.counts.items()
        ],
    )
    terminal.line()
    verdicts = [(has_happened(), text) for text, has_happened in EXPECTATIONS]
    for is_ok, text in verdicts:
        terminal.verdict(is_ok=is_ok, text=text)
    terminal.heading("What to look at next")
    for what, path in [
        ("the functions that ran", settings.BASE_DIR / "library" / "tasks.py"),
        ("how to test such code", settings.BASE_DIR / "library" / "tests.py"),
        ("what the workers said", log_dir / "worker.log"),
        ("supervisord, systemd, cron", settings.BASE_DIR / "deploy"),
        ("the site and its admin", f"{settings.BASE_DIR / 'demo.py'} --serve"),
    ]:
        terminal.line(f"  {what:<28}{path}")
    return all(is_ok for is_ok, _ in verdicts)


def are_documents_counted() -> bool:
    """Every sample text has the right number of words, each by one task."""
    words = {path.stem: len(path.read_text("utf-8").split()) for path in samples("texts/*.txt")}
    counted = dict(Document.objects.values_list("title", "word_count"))
    return counted == words and archived(count_words).count() == len(words)


def are_thumbnails_made() -> bool:
    """Every sample picture has a small copy, each by one task."""
    pictures = [picture for picture in Picture.objects.all() if is_small(picture.thumbnail)]
    return len(pictures) == len(samples("pictures/*.png")) == archived(make_thumbnail).count()


def is_failure_retried() -> bool:
    """The rating arrived with the second attempt, after the wait."""
    done_after_wait = archived(fetch_rating).filter(
        attempts=2, failed_at=None, run_at__gte=F("enqueued_at") + FIRST_RETRY
    )
    return done_after_wait.count() == 1


def is_report_repeated() -> bool:
    """The report ran once, and its next run is one hour after the first was due."""
    following = Task.objects.filter(task_name=write_report.name, repeat=Task.HOURLY).first()
    if following is None:
        return False
    due = following.run_at - timedelta(hours=1)
    done = archived(write_report).filter(enqueued_at__range=(due - TOLERANCE, due + TOLERANCE))
    return done.count() == archived(write_report).count() == 1


def is_mail_on_time() -> bool:
    """One message was written, not before it was due."""
    on_time = archived(mail_report).filter(
        started_at__gte=F("enqueued_at") + MAIL_DELAY - TOLERANCE
    )
    return on_time.count() == len(list(settings.MAIL_DIR.glob("*.log"))) == 1


def is_crash_survived() -> bool:
    """The task of the killed worker is finished once, as a second attempt, with its result."""
    outcomes = list(archived(build_concordance).values_list("attempts", "failed_at"))
    return outcomes == [(2, None)] and Report.objects.filter(name="Concordance").exists()


def is_nothing_left() -> bool:
    """The only live row is the next hourly report, and nobody holds it."""
    return list(Task.objects.values_list("task_name", "locked_by")) == [(write_report.name, None)]


EXPECTATIONS: list[tuple[str, Callable[[], bool]]] = [
    ("every document was counted, and every number is right", are_documents_counted),
    ("every picture has its thumbnail", are_thumbnails_made),
    (f"the failed call ran again after {FIRST_RETRY.seconds} s, and worked", is_failure_retried),
    ("the hourly report ran; its next run is one hour after the first", is_report_repeated),
    (f"the mail was written once, {MAIL_DELAY.seconds} s after it was scheduled", is_mail_on_time),
    ("the killed worker's task was finished once, the lost attempt counted", is_crash_survived),
    ("nothing is left locked; only the next hourly report waits", is_nothing_left),
]


def archived(proxy: TaskProxy[Any, Any]) -> QuerySet[CompletedTask]:
    """Return the finished tasks of one task function."""
    return CompletedTask.objects.filter(task_name=proxy.name)


def samples(pattern: str) -> list[Path]:
    """Return the sample files that the example ships."""
    return list((settings.BASE_DIR / "samples").glob(pattern))


def is_small(thumbnail: ImageFieldFile) -> bool:
    """Tell whether there is such a file, of at most the size of a thumbnail."""
    if not thumbnail:
        return False
    with Image.open(thumbnail.path) as image:
        return image.width <= THUMBNAIL_SIZE[0] and image.height <= THUMBNAIL_SIZE[1]
