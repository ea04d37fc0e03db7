"""Charts as values: where which shape is. Templates make SVG of them, and a table of the numbers.

The plane of a chart is ``WIDTH`` by ``HEIGHT`` units and is stretched to the width of the page, so
nothing that would look wrong when stretched, as text, is drawn in it: marks of the axes have their
place in percent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from . import words
from .period import Period, Timeline

WIDTH, HEIGHT = 1000, 120
#: How much of its piece a bar takes, and how high the smallest one is, to be seen at all.
BAR_SHARE, LOWEST_BAR = 0.8, 2.0
MOST_STEPS = 4

Values = Sequence[float | None]
#: The steps of axes, ascending.
DURATION_STEPS = (
    *(1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400),
)


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers over time.

    Attributes:
        name: What people call it.
        kind: How it is drawn: part of the name of a CSS class.
        values: One for each piece of time; None is a gap.
        total: What it comes to in the end, for the legend.
    """

    name: str
    kind: str
    values: Values
    total: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """One path, of all the bars or all the lines of a series."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis.

    Attributes:
        place: From the left in percent, or from the top in units.
        text: What it says.
        is_minor: Whether it is left out where there is little room.
    """

    place: str
    text: str
    is_minor: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, complete but for its colours.

    Attributes:
        name: Part of the ids of its elements.
        title: Its heading.
        summary: It in a sentence, for those who do not see it.
        series: What is drawn, for the legend.
        shapes: How.
        ys: The marks at the left, the topmost first.
        xs: The marks below.
        headers: The titles of the columns of its table.
        rows: Its numbers as texts, each row with its time first.
        empty: What is said if there is nothing to be drawn; empty if there is.
    """

    name: str
    title: str
    summary: str
    series: Sequence[Series]
    shapes: list[Shape]
    ys: list[Tick]
    xs: list[Tick]
    headers: list[str]
    rows: list[list[str]] = field(repr=False)
    empty: str = ""

    width = WIDTH
    height = HEIGHT


def bars(
    name: str, title: str, series: Sequence[Series], timeline: Timeline, period: Period, empty: str
) -> Chart:
    """Return a chart of piled up bars, the first series at the bottom."""
    piles = [sum(value or 0 for value in column) for column in _columns(series)]
    step, top = scale(max(piles, default=0), count_step)
    shapes = _pile(series, top, timeline.number)
    is_empty = not any(piles)
    highest = max(range(len(piles)), key=piles.__getitem__, default=0)
    most = (
        "" if is_empty else f"most at {_clock(timeline.starts[highest], period)}: {piles[highest]}"
    )
    return _chart(
        (name, title, series, timeline, period),
        shapes=shapes,
        ys=_marks(step, top, words.short),
        text=words.count,
        most=most,
        empty=empty if is_empty else "",
    )


def lines(
    name: str,
    title: str,
    series: Sequence[Series],
    timeline: Timeline,
    period: Period,
    empty: str,
    *,
    are_durations: bool,
) -> Chart:
    """Return a chart of lines, of durations in seconds or of counts."""
    known = [value for each in series for value in each.values if value is not None]
    step, top = scale(max(known, default=0), duration_step if are_durations else count_step)
    text: Callable[[float], str] = words.duration if are_durations else _whole
    most = f"highest: {text(max(known))}" if known else ""
    return _chart(
        (name, title, series, timeline, period),
        shapes=[Shape(each.kind, line_path(each.values, top)) for each in series],
        ys=_marks(step, top, words.brief if are_durations else words.short),
        text=text,
        most=most,
        empty="" if known else empty,
    )


def _whole(value: float) -> str:
    return words.count(int(value))


def _chart(
    about: tuple[str, str, Sequence[Series], Timeline, Period],
    *,
    shapes: list[Shape],
    ys: list[Tick],
    text: Callable[..., str],
    most: str,
    empty: str,
) -> Chart:
    name, title, series, timeline, period = about
    totals = ", ".join(f"{each.name} {each.total}" for each in series if each.total)
    parts = [f"{title}, {period.words}", totals, most] if not empty else [title, empty]
    rows = [] if empty else _rows(timeline, period, series, text)
    return Chart(
        name=name,
        title=title,
        summary="; ".join(part for part in parts if part),
        series=series,
        shapes=[] if empty else shapes,
        ys=[] if empty else ys,
        xs=_hours(timeline, period),
        headers=["Time", *(each.name for each in series)],
        rows=rows,
        empty=empty,
    )


def _rows(
    timeline: Timeline, period: Period, series: Sequence[Series], text: Callable[..., str]
) -> list[list[str]]:
    return [
        [_clock(at, period), *(words.NOTHING if v is None else text(v) for v in column)]
        for at, column in zip(timeline.starts, _columns(series), strict=True)
    ]


def _columns(series: Sequence[Series]) -> Iterable[tuple[float | None, ...]]:
    return zip(*(each.values for each in series), strict=True)


# -- Axes ------------------------------------------------------------------------------------------


def scale(highest: float, step_above: Callable[[float], float]) -> tuple[float, float]:
    """Return the distance of marks, and the highest one: not below the highest value."""
    if highest <= 0:
        return 1.0, 1.0
    step = step_above(highest / MOST_STEPS)
    return step, step * max(1, math.ceil(highest / step - 1e-9))


def count_step(least: float) -> float:
    """Return the first of 1, 2, 5, 10, 20, ... that is not below a number."""
    if least <= 1:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * each for each in (1, 2, 5, 10, 100) if power * each >= least * (1 - 1e-9))


def duration_step(least: float) -> float:
    """Return the first duration that is a good step and not below a number of seconds."""
    for step in DURATION_STEPS:
        if step >= least:
            return step
    return 86_400 * count_step(least / 86_400)


def _marks(step: float, top: float, text: Callable[[float], str]) -> list[Tick]:
    number = round(top / step)
    return [
        Tick(_number(HEIGHT * (1 - place / number)), text(step * place) if place else "0")
        for place in range(number, -1, -1)
    ]


def _hours(timeline: Timeline, period: Period) -> list[Tick]:
    """Return the marks below, but for those whose text would stand out at either side."""
    ticks = [tick for tick in timeline.ticks(period.tick_minutes) if 0.04 < tick[0] < 0.96]
    form = "%a %d" if period.tick_minutes == 1440 else "%H:%M"
    return [
        Tick(_number(place * 100), f"{words.local(at):{form}}", is_minor=bool(number % 2))
        for number, (place, at) in enumerate(ticks)
    ]


def _clock(at: datetime, period: Period) -> str:
    return f"{words.local(at):{'%a %d %b, %H:%M' if period.span.days > 1 else '%H:%M'}}"


# -- Shapes ----------------------------------------------------------------------------------------


def _pile(series: Sequence[Series], top: float, number: int) -> list[Shape]:
    width = WIDTH / number
    heights = [0.0] * number
    shapes = []
    for each in series:
        path = []
        for place, value in enumerate(each.values):
            if not value:
                continue
            height = min(max(value / top * HEIGHT, LOWEST_BAR), HEIGHT - heights[place])
            left = width * (place + (1 - BAR_SHARE) / 2)
            upper = HEIGHT - heights[place] - height
            path.append(_box(left, upper, width * BAR_SHARE, height))
            heights[place] += height
        shapes.append(Shape(each.kind, "".join(path)))
    return shapes


def _box(left: float, upper: float, width: float, height: float) -> str:
    across, down = _number(width), _number(height)
    return f"M{_number(left)} {_number(upper)}h{across}v{down}h-{across}z"


def line_path(values: Values, top: float) -> str:
    """Return a line through the values, broken where there are none; one alone is a dot."""
    width = WIDTH / max(len(values), 1)
    path: list[str] = []
    is_going_on = False
    for place, value in enumerate(values):
        if value is not None:
            spot = f"{_number(width * (place + 0.5))} {_number(HEIGHT * (1 - value / top))}"
            is_alone = not is_going_on and (place + 1 == len(values) or values[place + 1] is None)
            path.append(f"{'L' if is_going_on else 'M'}{spot}{'h0' if is_alone else ''}")
        is_going_on = value is not None
    return "".join(path)


def _number(value: float) -> str:
    """Return a number as SVG reads it, whatever the language of the page."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
