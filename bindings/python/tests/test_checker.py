"""A checker's settings, its end, and what it leaves behind."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List

import pytest
from conftest import Listener, descriptors, threads

from tcpshaker import Checker, Result, Status


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": "turbo"},
        {"engine": 1},
        {"syn_interval": -0.1},
        {"syn_interval": 2**32 / 1000},
        {"syn_interval": float("nan")},
        {"threads": -1},
        {"threads": 257},
        {"threads": 2**32},
        {"max_in_flight": 0},
        {"max_in_flight": -1},
        {"max_rate": -1},
        {"max_rate": 2**32},
        {"max_lookups": 0},
        {"max_lookups": 1025},
        {"max_lookups": -1},
        {"family": 99},
        {"source": "here"},
        {"source": "127.0.0.1\0"},
        {"source": ["127.0.0.1", "224.0.0.1"]},
        {"interface": "a name too long for one"},
        {"network_namespace": ""},
        {"tos": 256},
        {"mark": -1},
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Checker(**settings)


def test_a_number_that_is_none_is_misuse() -> None:
    with pytest.raises(TypeError):
        Checker(threads="2")  # type: ignore[arg-type]


def test_a_checkers_own_timeout_is_for_checks_that_name_none(silent: str) -> None:
    with Checker(timeout=0.1) as checker:
        assert 0.1 <= checker.check(silent).elapsed < checker.check(silent, 2).elapsed
        assert 0.1 <= next(checker.check_many([silent])).elapsed < 2


def test_checks_leave_from_the_source_of_their_family(live: str) -> None:
    with Checker(source=["127.0.0.9", "::1"]) as checker:
        assert checker.check(live).up
    with Checker(source="192.0.2.1") as checker:
        result = checker.check(live)
        assert (result.status, result.os_error) == (Status.ERR_LOCAL, errno.EADDRNOTAVAIL)


def test_checks_keep_to_the_family_they_were_given(live: str) -> None:
    with Checker(family=socket.AF_INET6) as checker:
        assert checker.check(live).status == Status.ERR_ADDRESS
    with Checker(family=socket.AF_INET) as checker:
        assert checker.check(live).up


def test_checks_leave_through_the_interface_and_with_the_marks_they_were_given(live: str) -> None:
    with Checker(interface="lo", tos=0x10, threads=2, max_in_flight=10, max_rate=1000) as checker:
        assert checker.check(live).up
    with Checker(interface="nowhere0") as checker:
        assert checker.check(live).os_error == errno.ENODEV


def test_a_mark_needs_privileges(live: str) -> None:
    try:
        with Checker(mark=7) as checker:
            assert checker.check(live).up
    except PermissionError:
        assert os.geteuid() != 0


def test_checks_leave_from_the_network_namespace_they_were_given(live: str) -> None:
    with pytest.raises(OSError, match="no network namespace at '/dev/null'"):
        Checker(network_namespace="/dev/null")
    try:
        with Checker(network_namespace="/proc/self/ns/net") as checker:
            assert checker.check(live).up
    except PermissionError:
        assert os.geteuid() != 0


def test_a_caller_driven_checker_has_no_thread_and_answers_every_way_of_asking(live: str, dead: str) -> None:
    async def both(checker: Checker) -> List[Result]:
        return list(await asyncio.gather(checker.acheck(live), checker.acheck(dead)))

    before = threads()
    with Checker(caller_driven=True) as checker:
        assert checker.check(live).up
        assert checker.check(dead).status == Status.REFUSED
        assert sorted(result.up for result in checker.check_many([live, dead] * 100)) == [False] * 100 + [True] * 100
        assert [result.up for result in asyncio.run(both(checker))] == [True, False]
        assert threads() == before
        with ThreadPoolExecutor(4) as others:
            assert all(result.up for result in others.map(checker.check, [live] * 40))


def test_without_zero_linger_the_handshake_completes(listener: Listener) -> None:
    with Checker(zero_linger=False) as checker:
        result = checker.check(listener.addr)
    assert result.up and not result.half_open
    deadline = time.monotonic() + 10
    while not listener.was_accepted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_closed_checker_is_misused_by_every_call(live: str) -> None:
    checker = Checker()
    checker.close()
    checker.close()
    for call in (lambda: checker.check(live), lambda: checker.check_many([live]), checker.__enter__):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_closing_ends_checks_under_way_in_other_threads(silent: str) -> None:
    checker = Checker()
    statuses = []
    waiting = [threading.Thread(target=lambda: statuses.append(checker.check(silent, 60).status)) for _ in range(4)]
    waiting.append(threading.Thread(target=lambda: statuses.append(next(checker.check_many([silent], 60)).status)))
    for thread in waiting:
        thread.start()
    time.sleep(0.3)
    checker.close()
    for thread in waiting:
        thread.join(30)
        assert not thread.is_alive()
    assert statuses == [Status.ERR_CLOSED] * 5


def test_a_closed_checker_leaves_no_descriptor_and_no_thread(live: str, dead: str, silent: str) -> None:
    for _ in range(2):  # The first time Python itself may open something.
        before = descriptors(), threads()
        for _ in range(5):
            with Checker(threads=2) as checker:
                checker.check(live)
                checker.check(silent, 0.05)
                unfinished = checker.check_many([live, dead, silent] * 100)
                assert next(unfinished).status >= 0
            # Still there, but it keeps nothing open.
            assert unfinished is not None
    assert (descriptors(), threads()) == before


def test_what_a_checker_has_done_is_counted(live: str, dead: str, silent: str) -> None:
    with Checker() as checker:
        list(checker.check_many([live, live, dead, "nonsense"], 60))
        checker.check(silent, 0.5)
        stats = checker.stats()
    assert (stats.submitted, stats.up, stats.refused, stats.timed_out, stats.err_address) == (5, 2, 1, 1, 1)
    assert (stats.in_flight, stats.queued, stats.err_internal, stats.unsolicited) == (0, 0, 0, 0)
    with pytest.raises(RuntimeError, match="closed"):
        checker.stats()


def test_a_forgotten_checker_is_freed_with_a_warning(live: str) -> None:
    before = descriptors(), threads()
    checker = Checker()
    assert checker.check(live).up
    assert threads() > before[1]
    with pytest.warns(ResourceWarning, match="unclosed <tcpshaker"):
        del checker
        gc.collect()
    assert (descriptors(), threads()) == before


def test_a_checker_that_the_system_cannot_make_is_an_oserror() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Below three all are in use, whatever another thread closes meanwhile.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="descriptors"):
            Checker()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
