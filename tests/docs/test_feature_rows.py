"""The tables of what other queues can do: no row is left out, each has a test, each name is there.

Which tests show a row stands in `feature_rows.txt`: the number of the row, and the test.
"""

import ast
import re
from functools import cache
from importlib import import_module
from importlib.resources import files

import pytest
from django.core.management import get_commands, load_command_class

from background_task.settings import SETTINGS
from tests.docs.pages import ROOT, tables

ROWS = [*range(1, 193), *range(224, 228)]
PAGES = sorted((ROOT / "docs").glob("coming-from-*.md"))
HELD = ("works", "works differently")
NOT_HELD = ("not for us", "not yet")
OPTION = re.compile(r'OPTIONS\["(\w+)"\]')


def found():
    """Return the rows of all pages by number; of each its number, verdict, reason and place."""
    lines = [row for page in PAGES for table in tables(page) for row in table if "Here" in row]
    return [(row["Row"], *row["Here"].partition(": ")[::2], row["Where"]) for row in lines]


def shown():
    """Return the tests that show each row."""
    path = ROOT / "tests" / "docs" / "feature_rows.txt"
    tests = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row, test = line.split()
        tests.setdefault(row, []).append(test)
    return tests


@cache
def defined_in(path):
    """Return the names of the tests in a file, those of classes as ``Class::test``."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    scopes = [("", tree), *((f"{c.name}::", c) for c in tree.body if isinstance(c, ast.ClassDef))]
    return {
        f"{prefix}{node.name}"
        for prefix, scope in scopes
        for node in scope.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_row_is_there_once_and_in_order():
    for page in PAGES:
        numbers = [int(row["Row"][1:]) for table in tables(page) for row in table if "Here" in row]
        assert numbers == sorted(numbers), page.name
    assert sorted(int(row[1:]) for row, *_ in found()) == ROWS


def test_each_verdict_is_one_of_four_and_has_its_reason():
    assert {verdict for _, verdict, _, _ in found()} <= {*HELD, *NOT_HELD}
    assert [row for row, verdict, why, _ in found() if verdict != "works" and not why] == []
    assert [row for row, _, _, where in found() if not where] == []


def test_each_row_that_works_names_its_tests_and_no_other_does():
    assert {row for row, verdict, _, _ in found() if verdict in HELD} == set(shown())


def test_each_named_test_exists():
    named = {test for tests in shown().values() for test in tests}
    paths = {test.partition("::")[0] for test in named}
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []
    assert [test for test in sorted(named) if not is_there(test)] == []


def is_there(test):
    path, _, name = test.partition("::")
    return name.rpartition("::")[2].startswith("test_") and name in defined_in(path)


def test_each_place_is_a_name_that_there_is():
    wrong = {}
    for row, _, _, where in found():
        spans = re.findall(r"`([^`]+)`", where)
        commands = [span for span in spans if span in get_commands()]
        unknown = [span for span in spans if span not in commands and not is_known(span, commands)]
        if unknown or not (spans or "](" in where):
            wrong[row] = unknown
    assert wrong == {}


def is_known(span, commands):
    """Tell whether something is a name of ours: of an option, a setting, or in a module."""
    if span.startswith("--"):
        return any(span in options_of(command) for command in commands)
    if option := OPTION.fullmatch(span):
        return option[1] in import_module("background_task.task_backend").OPTIONS
    if span.startswith("BACKGROUND_TASK_"):
        return span in {setting.full_name for setting in SETTINGS.values()}
    return span.startswith("background_task.") and is_importable(span)


@cache
def options_of(command):
    parser = load_command_class("background_task", command).create_parser("manage.py", command)
    return set(parser._option_string_actions)


def is_importable(path):
    """Tell whether a dotted path leads to something: modules as far as they go, then attributes."""
    *parents, name = path.split(".")
    try:
        return hasattr(import_module(".".join(parents)), name)
    except ModuleNotFoundError:
        *parents, scope = parents
        return hasattr(getattr(import_module(".".join(parents)), scope, None), name)


@pytest.mark.parametrize(
    "span", ["background_task.nothing", "background_task.Runner.nothing", 'OPTIONS["nothing"]']
)
def test_name_that_there_is_not_is_found_out(span):
    assert not is_known(span, ["process_tasks"])
    assert is_known("--threads", ["process_tasks"])
    assert not is_known("--threads", ["purge_tasks"])


def test_package_is_typed():
    assert (files("background_task") / "py.typed").is_file()
