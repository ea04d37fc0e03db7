"""What the page on importing says is what the importers are."""

from argparse import ArgumentParser

from django.core.management import load_command_class

from background_task.importing import SOURCES
from tests.docs.pages import ROOT, table_with

PAGE = ROOT / "docs" / "importing.md"


def test_read_table_of_sources_has_each_table_of_each():
    rows = table_with(PAGE, "Source", "Table", "Comes over", "Stays")
    shown = [(row["Source"].strip("`"), row["Table"].split("`")[1]) for row in rows]
    assert shown == [(name, part.table) for name, parts in SOURCES.items() for part in parts]


def test_read_table_of_options_has_each_option_of_its_own():
    parser = ArgumentParser()
    load_command_class("background_task", "background_task_import").add_arguments(parser)
    own = [flag for action in parser._actions for flag in action.option_strings if flag[:2] == "--"]
    shown = [row["Option"].strip("`") for row in table_with(PAGE, "Option", "Means")]
    assert ["--help", *shown] == own
