"""Tracebacks in colour, without a library or a script."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from ..payload.text import shortened

#: More of a traceback is not shown: its middle is left out.
MOST_CHARS = 40_000
FRAME = re.compile(r'(\s*File ")(.*)(", line )(\d+)(.*)')
MARKS = re.compile(r"\s*[\^~]+\s*")
HEADING = re.compile(
    r"[\s|+-]*(Exception Group )?Traceback \(most recent call last\):.*"
    r"|The above exception was the direct cause.*|During handling of the above exception.*"
)
ERROR = re.compile(r"([A-Za-z_][\w.]*)((?:: .*)?)")
#: Where code lies that is not the project's own.
FOREIGN = re.compile(
    r"[/\\](site-packages|dist-packages)[/\\]|[/\\]lib[/\\]python3\.\d+[/\\]"
    r"|[/\\]Python3\d+[/\\]Lib[/\\]|[/\\]background_task[/\\](worker|runner|call|immediate)"
    r"|^<frozen "
)


def highlighted(text: str) -> SafeString:
    """Return a traceback in HTML; the frames of the project's own code stand out."""
    # Each line is escaped by itself.
    lines = shortened(text, MOST_CHARS).splitlines()
    return mark_safe("\n".join(_lines(lines)))


def _lines(lines: list[str]) -> Iterator[SafeString]:
    is_own = is_frame = False
    for line in lines:
        if found := FRAME.fullmatch(line):
            is_frame, is_own = True, FOREIGN.search(found[2]) is None
            yield _marked("own" if is_own else "foreign", _frame(found))
        elif HEADING.fullmatch(line):
            is_frame = False
            yield _marked("note", format_html("{}", line))
        elif is_frame and line.startswith(" "):
            kind = "marks" if MARKS.fullmatch(line) else "own" if is_own else "foreign"
            yield _marked(kind, format_html("{}", line))
        elif is_frame and (error := ERROR.fullmatch(line)):
            is_frame = False
            form = '<span class="bgtask-tb-class">{}</span>{}'
            yield _marked("error", format_html(form, error[1], error[2]))
        else:
            yield format_html("{}", line)


def _marked(kind: str, line: SafeString) -> SafeString:
    return format_html('<span class="bgtask-tb-{}">{}</span>', kind, line)


def _frame(found: re.Match[str]) -> SafeString:
    form = '{}<span class="bgtask-tb-file">{}</span>{}<span class="bgtask-tb-line">{}</span>{}'
    return format_html(form, *found.groups())
