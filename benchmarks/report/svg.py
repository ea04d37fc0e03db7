"""Three kinds of plots as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 760
LABELS = 210  # what the names on the left take
RIGHT = 90  # room for a figure after the longest bar
TOP = 46
ROW = 24
OURS = "#0b7285"
OTHERS = "#adb5bd"
FLOOR = "#e9a23b"
#: For lines, of which each needs its own.
COLORS = ("#d9480f", "#5f3dc4", "#2b8a3e", "#c2255c", "#1864ab", "#868e96", "#e67700", "#66a80f")
FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True)
class Bar:
    """One row: a figure with its range."""

    label: str
    value: float
    low: float
    high: float
    color: str = OTHERS


@dataclass(frozen=True)
class Line:
    """One line of points."""

    label: str
    points: Sequence[tuple[float, float]]
    color: str


def document(title: str, height: float, parts: Sequence[str]) -> str:
    """Return a whole file; its own background makes it readable on any page."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" {FONT}>'
    )
    back = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, back, text(12, 24, title, weight="bold", size=14), *parts, "</svg>\n"])


def text(
    x: float, y: float, content: str, *, anchor: str = "start", weight: str = "", size: int = 12
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="#212529"{bold}>{escape(content)}</text>'
    )


def rule(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{color}" stroke-width="{width}"/>'
    )


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Return horizontal bars from zero, with the range of the rounds as a thin line."""
    most = max((row.high for row in rows), default=1) or 1
    scale = (WIDTH - LABELS - RIGHT) / most
    parts = []
    for number, row in enumerate(rows):
        top = TOP + number * ROW
        middle = top + ROW / 2 - 2
        width = max(row.value * scale, 1)
        place = f'x="{LABELS}" y="{top}" width="{width:.1f}" height="{ROW - 6}"'
        parts += [
            text(LABELS - 8, middle + 4, row.label, anchor="end"),
            f'<rect {place} fill="{row.color}"/>',
            rule(LABELS + row.low * scale, middle, LABELS + row.high * scale, middle, "#343a40"),
            text(LABELS + row.high * scale + 6, middle + 4, figure(row.value)),
        ]
    return document(title, TOP + len(rows) * ROW + 12, parts)


def spans(title: str, rows: Sequence[Bar], unit: str) -> str:
    """Return a dot for each value and a line up to its `high`, on a logarithmic axis."""
    axis = Axis.over([row.value for row in rows] + [row.high for row in rows])
    left, right = LABELS, WIDTH - RIGHT
    bottom = TOP + len(rows) * ROW
    parts = []
    for tick in axis.ticks():
        x = axis.place(tick, left, right)
        parts += [
            rule(x, TOP - 6, x, bottom, "#e9ecef"),
            text(x, bottom + 16, f"{figure(tick)} {unit}", anchor="middle"),
        ]
    for number, row in enumerate(rows):
        middle = TOP + number * ROW + ROW / 2 - 2
        x1, x2 = (axis.place(value, left, right) for value in (row.value, row.high))
        parts += [
            text(LABELS - 8, middle + 4, row.label, anchor="end"),
            rule(x1, middle, x2, middle, row.color, 4),
            f'<circle cx="{x1:.1f}" cy="{middle:.1f}" r="5" fill="{row.color}"/>',
        ]
    return document(title, bottom + 28, parts)


def lines(title: str, rows: Sequence[Line], unit: str) -> str:
    """Return lines on two logarithmic axes; the names stand at their right ends."""
    points = [point for row in rows for point in row.points]
    across = Axis.over([x for x, _ in points])
    up = Axis.over([y for _, y in points])
    left, right, bottom = 70, WIDTH - 200, TOP + 300
    parts = []
    for tick in across.ticks():
        x = across.place(tick, left, right)
        parts += [
            rule(x, TOP, x, bottom, "#e9ecef"),
            text(x, bottom + 16, f"{figure(tick)} {unit}", anchor="middle"),
        ]
    for tick in up.ticks():
        y = up.place(tick, bottom, TOP)
        parts += [
            rule(left, y, right, y, "#e9ecef"),
            text(left - 6, y + 4, figure(tick), anchor="end"),
        ]
    lowest_name = TOP - 20.0
    for row in sorted(rows, key=lambda row: -row.points[-1][1]):
        placed = [(across.place(x, left, right), up.place(y, bottom, TOP)) for x, y in row.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{row.color}" stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{row.color}"/>' for x, y in placed
        ]
        x, y = placed[-1]
        lowest_name = max(y, lowest_name + 15)
        parts.append(rule(x + 4, y, right + 12, lowest_name, row.color, 0.5))
        parts.append(text(right + 16, lowest_name + 4, row.label))
    return document(title, bottom + 30, parts)


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis over whole powers of ten."""

    low: int
    high: int

    @classmethod
    def over(cls, values: Sequence[float]) -> Axis:
        positive = [value for value in values if value > 0] or [1.0]
        low = math.floor(math.log10(min(positive)))
        return cls(low, max(low + 1, math.ceil(math.log10(max(positive)))))

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]

    def place(self, value: float, start: float, end: float) -> float:
        share = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return start + share * (end - start)


def figure(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
