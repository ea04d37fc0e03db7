"""Names that must be unique."""

import os
import socket
import time

import pytest

from background_task import identity


def test_uids_are_version_7_unique_and_in_the_order_of_time():
    before = time.time_ns() // 1_000_000
    uids = [identity.new_uid() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(uids)) == 1000
    assert {(uid.version, uid.variant) for uid in uids} == {(7, "specified in RFC 4122")}
    milliseconds = [uid.int >> 80 for uid in uids]
    assert milliseconds == sorted(milliseconds)
    assert before <= milliseconds[0] <= milliseconds[-1] <= after


@pytest.mark.parametrize("host", ["h", "host.example", "x" * 300, "\u0440\u0443\u043a\u0430", ""])
def test_worker_name_fits_its_column_and_differs_each_time(monkeypatch, host):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    names = {identity.new_worker_name() for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert len(name) <= identity.MAX_OWNER_CHARS
        assert name.isascii()
        assert name.split(":")[-2] == str(os.getpid())


@pytest.mark.parametrize("pid", [0, -1, 10**30])
def test_number_that_is_no_process_is_not_running(pid):
    assert identity.is_pid_running(pid) is False


def test_this_process_is_running():
    assert identity.is_pid_running(os.getpid()) is True
