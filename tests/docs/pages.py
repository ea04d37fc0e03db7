"""The documentation as data: its pages, their code blocks, tables and links; and running a page.

Each page is one module: its Python blocks are executed in their order in one namespace, as if they
stood in ``shop/tasks.py``. An expression with a comment ``# -> text`` must have that ``repr``; with
``# -> raises Error: text`` it must raise that. Three dots at the end leave the rest open.
"""

import ast
import re
import shlex
import sys
import types
import unittest
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]
MODULE = "shop.tasks"

FENCE = re.compile(r"^(?P<fence>```+)(?P<language>[\w-]*)$")
PROMISE = re.compile(r"#\s*->\s*(?P<text>.+?)\s*$")
RAISES = re.compile(r"raises (?P<name>\w+)(?:: (?P<message>.*))?$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page; ``line`` is the number of its first line of text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def title(self) -> str:
        """The name of the file that the block is said to be, from its first comment."""
        first = self.text.split("\n", 1)[0]
        return first[2:].strip() if re.fullmatch(r"# [\w/]+\.\w+", first) else ""


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, of these languages if any are named."""
    lines = page.read_text(encoding="utf-8").split("\n")
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines, 1):
        if opened is None:
            if found := FENCE.match(line):
                opened = (number, found["fence"], found["language"])
        elif line == opened[1]:
            start, _, language = opened
            opened = None
            if not languages or language in languages:
                yield Block(page, start + 1, language, "\n".join(lines[start : number - 1]))
    assert opened is None, f"{page.name}: the block opened in line {opened[0]} is not closed"


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))


def tables(page: Path) -> list[list[dict[str, str]]]:
    """Return the tables of a page, each a list of rows by column title."""
    found = []
    for part in re.findall(r"(?m)(?:^\|.*\|$\n?)+", prose(page)):
        titles, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in part.strip().split("\n")
        ]
        found.append([dict(zip(titles, row, strict=True)) for row in rows])
    return found


def table_with(page: Path, *titles: str) -> list[dict[str, str]]:
    """Return the one table of a page that has these columns."""
    (table,) = (table for table in tables(page) if set(titles) <= set(table[0]))
    return table


def worker_commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each ``process_tasks`` in blocks and inline code."""
    inline = re.findall(r"`([^`\n]+)`", prose(page))
    lines = [line for block in blocks(page) for line in block.text.split("\n")]
    for text in [*lines, *inline]:
        if text.lstrip().startswith("#") or "call_command" in text:
            continue
        for found in re.findall(r"(?<![\w.])process_tasks((?: [^`#>|&;\]]*)?)", text):
            yield [part for part in shlex.split(found.rstrip("\\")) if part != "..."]


def run_page(page: Path) -> None:
    """Execute a page's Python blocks, and the test classes that they define."""
    module = types.ModuleType(MODULE)
    package = types.ModuleType("shop")
    package.__path__ = []
    package.tasks = module
    sys.modules |= {"shop": package, MODULE: module}
    try:
        for block in blocks(page, "python"):
            run_block(block, module.__dict__)
        run_test_classes(module)
    finally:
        del sys.modules["shop"], sys.modules[MODULE]


def run_block(block: Block, namespace: dict[str, Any]) -> None:
    """Execute one block; what goes wrong is reported with the page's own line numbers."""
    framework = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
    tree = ast.parse(block.text.replace("django.tasks", framework))
    lines = block.text.split("\n")
    for statement in tree.body:
        promise = PROMISE.search(lines[(statement.end_lineno or 0) - 1])
        ast.increment_lineno(statement, block.line - 1)
        where = f"{block.page.name}:{statement.lineno}"
        if promise is None:
            run = ast.Module([statement], type_ignores=[])
            exec(compile(run, str(block.page), "exec"), namespace)
        else:
            assert isinstance(statement, ast.Expr), f"{where}: not an expression"
            expression = compile(ast.Expression(statement.value), str(block.page), "eval")
            check_promise(expression, promise["text"], namespace, where=where)


def check_promise(
    expression: types.CodeType, text: str, namespace: dict[str, Any], *, where: str
) -> None:
    """Evaluate an expression and compare what it gives with what the page promises."""
    value, error = None, None
    try:
        value = eval(expression, namespace)
    except Exception as raised:  # noqa: BLE001 - which one it must be stands in the page
        error = raised
    expected = RAISES.fullmatch(text)
    if expected is None:
        assert error is None, f"{where}: {error!r}"
        assert is_like(repr(value), text), f"{where}: {value!r}"
        return
    assert error is not None, f"{where}: no error, but {value!r}"
    names = [cls.__name__ for cls in type(error).__mro__]
    assert expected["name"] in names, f"{where}: {names}"
    assert is_like(str(error), expected["message"] or "..."), f"{where}: {error}"


def is_like(actual: str, expected: str) -> bool:
    if expected.endswith("..."):
        return actual.startswith(expected[:-3].rstrip())
    return actual == expected


def run_test_classes(module: types.ModuleType) -> None:
    """Run the ``TestCase`` classes of a page, as ``manage.py test`` would."""
    suite = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(value)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, unittest.TestCase)
        and value.__module__ == MODULE
    )
    result = unittest.TestResult()
    suite.run(result)
    for test, traceback in result.failures + result.errors:
        raise AssertionError(f"{test}\n{traceback}")
