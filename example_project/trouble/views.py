"""The page on which things are broken on purpose."""

from collections.abc import Callable
from dataclasses import dataclass

from background_task.models import Task
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from library.mine import remember, started
from trouble import tasks


def make_flaky() -> list[Task | None]:
    """Call the other side, which is often away."""
    return [tasks.flaky(verbose_name="Flaky")]


def make_slow() -> list[Task | None]:
    """Begin something long."""
    return [tasks.slow(verbose_name="Slow")]


def make_crash() -> list[Task | None]:
    """Have a worker crash."""
    return [tasks.crash(verbose_name="Crash")]


def make_unique() -> list[Task | None]:
    """Press a button twice."""
    return [tasks.only_once(verbose_name="Only once") for _press in range(2)]


def make_periodic() -> list[Task | None]:
    """Have a clock tick."""
    return [tasks.tick.using(repeat_count=6)(repeat=5, verbose_name="Tick")]


def make_limited() -> list[Task | None]:
    """Let five want what only one may have."""
    return [tasks.one_at_a_time(verbose_name=f"Visitor {number}") for number in range(1, 6)]


def make_cancelled() -> list[Task | None]:
    """Begin something long and think better of it."""
    victim = tasks.slow(verbose_name="To be cancelled")
    return [victim, tasks.call_off(str(victim.uid), schedule=5, verbose_name="Call it off")]


def make_endless() -> list[Task | None]:
    """Begin what would never end."""
    return [tasks.endless(verbose_name="Endless")]


def make_flood() -> list[Task | None]:
    """Call many at once."""
    return tasks.drop.using(verbose_name="Drop").bulk([((number,), {}) for number in range(300)])


@dataclass(frozen=True)
class Trouble:
    """A button: what it is called, what will be seen, and the function that calls the tasks."""

    title: str
    sentence: str
    button: str
    start: Callable[[], list[Task | None]]


TROUBLES = {
    "flaky": Trouble(
        "A flaky service",
        "The task fails twice with a ConnectionError, waits three seconds each time, and works at "
        "its third attempt; its page keeps both tracebacks.",
        "Call it",
        make_flaky,
    ),
    "slow": Trouble(
        "A slow task",
        "The task takes half a minute and says how far it is, while everything else goes on in the "
        "worker's other threads.",
        "Start it",
        make_slow,
    ),
    "crash": Trouble(
        "A crash",
        "The task ends the process of its worker without a word, a new process takes its place, "
        "and runs the task, and whatever else was running there, again.",
        "Crash a worker",
        make_crash,
    ),
    "unique": Trouble(
        "A double click",
        "The task is called twice and added once, because it is unique until it has finished; "
        "press again while it runs and nothing is added.",
        "Call it twice",
        make_unique,
    ),
    "periodic": Trouble(
        "Again and again",
        "The task runs every five seconds, six times, each time as a row of its own.",
        "Start the clock",
        make_periodic,
    ),
    "limited": Trouble(
        "One at a time",
        "Five tasks want what only one may use: they take turns, and those that wait their turn "
        "keep no thread from other work.",
        "Call it five times",
        make_limited,
    ),
    "cancelled": Trouble(
        "Never mind",
        "The task would take half a minute; after five seconds another task cancels it, and it "
        "leaves off.",
        "Start and cancel it",
        make_cancelled,
    ),
    "endless": Trouble(
        "A task without an end",
        "The task would go on for ever; its time limit of four seconds ends it, and as it may be "
        "tried once only, it has failed for good.",
        "Start it",
        make_endless,
    ),
    "flood": Trouble(
        "A flood",
        "Three hundred tasks are added with a few statements; watch the queue fill and drain on "
        "the dashboard.",
        "Open the gates",
        make_flood,
    ),
}


def index(request: HttpRequest) -> HttpResponse:
    """Show the buttons, and how the visitor's tasks stand."""
    context = {"page": "trouble", "troubles": TROUBLES, "mine": started(request)}
    return render(request, "trouble/index.html", context)


@require_POST
def make(request: HttpRequest, name: str) -> HttpResponse:
    """Make some trouble."""
    if name not in TROUBLES:
        raise Http404(f"There is no trouble named {name!r}.")
    called = TROUBLES[name].start()
    added = [task for task in called if task is not None]
    remember(request, *added[:5])
    messages.success(
        request, f"{TROUBLES[name].title}: {len(called)} called, {len(added)} added to the queue."
    )
    return redirect(reverse("trouble") + "#mine")
