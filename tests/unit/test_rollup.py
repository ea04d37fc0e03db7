"""What was added up, as it is read back from a row."""

import pytest

from background_task.rollup import Histogram, Tally


@pytest.mark.parametrize("stored", [None, "", "[", "{}", '[1,{"1":1e999}]', '["x",{}]'])
def test_histogram_that_cannot_be_read_is_empty(stored):
    assert Histogram.read(stored) == Histogram()


@pytest.mark.parametrize("stored", [None, "", "[", "[]", '{"a":1e999}', '{"a":null}'])
def test_errors_that_cannot_be_read_are_none(stored):
    assert not Tally.read_errors(stored)
