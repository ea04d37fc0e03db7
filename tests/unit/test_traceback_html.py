"""A traceback in HTML: every line is there, escaped, and the project's own frames stand out."""

import html
import re

import pytest

from background_task.admin.traceback_html import MOST_CHARS, highlighted

TRACEBACK = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.12/site-packages/background_task/worker/run.py", line 7, in call
    return function()
           ^^^^^^^^^^
  File "/srv/shop/orders/tasks.py", line 12, in send
    raise Broken("<b>no</b>")
  File "/usr/lib/python3.12/json/decoder.py", line 3, in loads
    end()
shop.errors.Broken: <b>no</b>
  a second line of its message
"""


def text_of(page):
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def test_every_line_is_there():
    assert text_of(highlighted(TRACEBACK)) == TRACEBACK.rstrip("\n")


def test_frames_of_the_project_stand_out():
    lines = highlighted(TRACEBACK).splitlines()
    kinds = [re.match(r'<span class="bgtask-tb-(\w+)">', line) for line in lines]
    assert [kind and kind[1] for kind in kinds] == [
        *("note", "foreign", "foreign", "marks", "own", "own", "foreign", "foreign", "error"),
        None,
    ]
    assert '<span class="bgtask-tb-line">12</span>' in lines[4]
    assert '<span class="bgtask-tb-class">shop.errors.Broken</span>' in lines[8]


@pytest.mark.parametrize(
    ("path", "is_own"),
    [
        ("/srv/shop/tasks.py", True),
        (r"C:\shop\tasks.py", True),
        (r"C:\Python312\Lib\json\decoder.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("/x/dist-packages/django/db/models/query.py", False),
        ("/src/background_task/worker/run.py", False),
    ],
)
def test_frames_are_told_by_where_their_code_lies(path, is_own):
    page = highlighted(f'  File "{path}", line 1, in f')
    assert ("bgtask-tb-own" in page) is is_own


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '  File "<script>", line 1, in <script>',
        '  File "/a.py", line 1, in f\n    <script>\nBroken: <script>',
        "Traceback (most recent call last):<script>",
    ],
)
def test_nothing_is_left_unescaped(text):
    page = highlighted(text)
    assert "<script" not in page
    assert text_of(page) == text


def test_a_very_long_one_loses_its_middle():
    page = text_of(highlighted("x" * 3 * MOST_CHARS))
    assert len(page) < MOST_CHARS + 100
    assert "characters left out" in page
