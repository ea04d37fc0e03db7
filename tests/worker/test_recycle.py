"""When a worker has worked long enough."""

import mmap
import re

import pytest

from background_task.worker import recycle
from background_task.worker.recycle import Recycling, resident_mib


def test_ask_without_limits_is_never_enough():
    recycling = Recycling()
    assert not any(recycling.count() for _ in range(1000))
    assert recycling.reason() is None
    assert recycling.room() > 10**9


def test_count_tasks_up_to_the_limit_is_enough():
    recycling = Recycling(max_tasks=2)
    assert recycling.count() is False
    assert recycling.reason() is None
    assert recycling.room() == 1
    assert recycling.count() is True
    assert recycling.reason() == "recycled: 2 tasks were run, of --max-tasks 2"
    assert recycling.room() == 0


def test_grow_old_is_enough():
    recycling = Recycling(max_age=3600)
    assert recycling.reason() is None
    recycling._born -= 3601
    assert re.search(r"^recycled: it worked for 36\d\d s, with --max-age 3600$", recycling.reason())


def test_take_memory_is_enough_only_after_the_first_task():
    recycling = Recycling(max_memory=1)
    assert recycling.reason() is None
    recycling.count()
    assert "MiB, with --max-memory 1" in recycling.reason()


@pytest.mark.skipif(resident_mib() is None, reason="memory cannot be known here")
def test_measure_memory_sees_what_is_taken():
    before = resident_mib()
    with mmap.mmap(-1, 64 * 2**20) as taken:
        for page in range(0, len(taken), mmap.PAGESIZE):
            taken[page] = 1
        assert 60 < resident_mib() - before < 90


def test_measure_memory_where_only_the_peak_is_known_gives_that(monkeypatch):
    def no_proc(*arguments, **keywords):
        raise FileNotFoundError

    usual = resident_mib()
    monkeypatch.setattr(recycle, "open", no_proc, raising=False)
    assert resident_mib() > usual / 2
