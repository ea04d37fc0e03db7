"""Rows that were not written by this library: they are refused, and run nothing."""

import enum
import json
import sys
import types

import pytest
from django.apps import apps

from background_task import payload
from background_task.exceptions import InvalidPayloadError

TAG = "__background_task__"
HERE = __name__


class Colour(enum.Enum):
    RED = 1


class Right(enum.Flag):
    READ = 1


def function():
    raise AssertionError("it was called")


@pytest.mark.parametrize(
    "form",
    [
        5,
        None,
        "date",
        [],
        [["date"]],
        ["unknown", "2026-01-31"],
        ["date"],
        ["date", "2026-02-31"],
        ["date", "2026-01-31", "more"],
        ["date", 5],
        ["dict"],
        ["datetime", None],
        ["datetime", "2026-01-31T08:00:00+01:00", "Europe/Atlantis"],
        ["datetime", "2026-01-31T08:00:00+01:00", "Europe"],
        ["datetime", "2026-01-31T08:00:00+01:00", "../../etc/passwd"],
        ["time", "25:00"],
        ["timedelta", "1"],
        ["timedelta", 10**400],
        ["decimal", "one"],
        ["decimal", {}],
        ["uuid", 7],
        ["uuid", "7"],
        ["bytes", "\u00e9"],
        ["bytes", "A"],
        ["bytes", "AP8=*"],
        ["instance", 7, 7, "default"],
        ["instance", "testapp.ledger", 7, ["default"]],
        ["instance", "testapp.ledger"],
        ["enum", HERE, "Colour", "GREEN"],
        ["enum", HERE, "Colour", 1],
        ["enum", HERE, "Colour", []],
        ["enum", HERE, "Colour.RED", "RED"],
        ["enum", HERE, "Right", 64],
        ["enum", HERE, "Right", "READ"],
        ["enum", HERE, "Colour.mro", "RED"],
        ["enum", HERE, "function", "ONE"],
        ["enum", HERE, "", "RED"],
        ["enum", HERE, 5, "RED"],
        ["enum", "enum", "Enum", "RED"],
        ["enum", "os", "system", "true"],
        ["enum", "builtins", "eval", "1"],
        ["enum", "", "Colour", "RED"],
        ["enum", "tests.app..models", "Colour", "RED"],
        ["enum", "tests.app.nowhere", "Colour", "RED"],
        ["enum", "tests.app.\x00", "Colour", "RED"],
        ["enum", None, "Colour", "RED"],
        ["enum", ["os"], "Colour", "RED"],
    ],
    ids=repr,
)
def test_tag_that_was_not_written_here_is_refused_by_name(form):
    text = json.dumps([[], {"value": [{TAG: form}]}])
    with pytest.raises(InvalidPayloadError, match=f"{TAG}.*cannot be read"):
        payload.decode(text)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that nobody has imported; its module ``kind`` has an enum."""
    (tmp_path / "fresh_package").mkdir()
    (tmp_path / "fresh_package" / "__init__.py").touch()
    (tmp_path / "fresh_package" / "kind.py").write_text(
        "import enum\n\nclass Kind(enum.Enum):\n    ONE = 1\n"
    )
    (tmp_path / "fresh_package" / "broken.py").write_text("import there_is_no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "fresh_package"
    for name in [name for name in sys.modules if name.startswith("fresh_package")]:
        del sys.modules[name]


def row_with(module):
    return json.dumps([[{TAG: ["enum", module, "Kind", "ONE"]}], {}])


def test_module_that_is_not_imported_and_of_no_app_stays_so(package):
    with pytest.raises(InvalidPayloadError, match="neither imported nor part of an installed app"):
        payload.decode(row_with(f"{package}.kind"))
    assert not [name for name in sys.modules if name.startswith(package)]


def test_module_of_an_installed_app_is_imported(package, settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, package]
    assert apps.is_installed(package)
    ((arrived,), _) = payload.decode(row_with(f"{package}.kind"))
    assert arrived is sys.modules[f"{package}.kind"].Kind.ONE
    with pytest.raises(InvalidPayloadError, match="there_is_no_such_module"):
        payload.decode(row_with(f"{package}.broken"))


def test_looking_for_a_class_runs_no_code_of_the_module(monkeypatch):
    module = types.ModuleType("lazy_module")
    module.__getattr__ = lambda name: pytest.fail(f"{name} was asked for")
    monkeypatch.setitem(sys.modules, "lazy_module", module)
    with pytest.raises(InvalidPayloadError):
        payload.decode(row_with("lazy_module"))
