"""Streams of checks: lazy, bounded, in the order of the answers."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, List

import pytest
from conftest import Listener, descriptors

from tcpshaker import Checker, Result, Status
from tcpshaker._many import Many


def test_every_target_yields_one_result_that_names_it(checker: Checker, live: str, dead: str) -> None:
    results = Counter((result.addr, result.status) for result in checker.check_many([live, "nonsense", dead] * 1000))
    assert results == {(live, Status.OK): 1000, (dead, Status.REFUSED): 1000, ("nonsense", Status.ERR_ADDRESS): 1000}


def test_no_targets_yield_no_results(checker: Checker) -> None:
    assert list(checker.check_many([])) == []


def test_an_endless_iterable_is_taken_no_further_than_its_results(live: str) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield live

    with Checker(max_in_flight=10) as checker:
        stream = checker.check_many(endless())
        assert taken == 0
        for yielded, result in enumerate(itertools.islice(stream, 5000), 1):
            assert result.up
            # Ten under way, and as many that were answered while those were started.
            assert taken <= yielded + 20


def test_a_generator_of_a_hundred_thousand_targets_yields_as_many_results(checker: Checker) -> None:
    malformed = (f"target {number}" for number in range(100_000))
    results = {result.addr for result in checker.check_many(malformed) if result.status == Status.ERR_ADDRESS}
    assert len(results) == 100_000


def test_a_slow_iterable_gets_each_result_before_its_next_target_but_one(checker: Checker, live: str) -> None:
    taken = 0

    def slow() -> Iterator[str]:
        nonlocal taken
        for _ in range(5):
            taken += 1
            yield live
            time.sleep(0.3)

    for yielded, _ in enumerate(checker.check_many(slow()), 1):
        assert taken <= yielded + 1


def test_a_silent_target_keeps_nobody_waiting(checker: Checker, live: str, silent: str) -> None:
    started = time.monotonic()
    stream = checker.check_many([silent] + [live] * 3000, timeout=20)
    assert all(next(stream).up for _ in range(3000))
    assert time.monotonic() - started < 20


def test_checks_that_wait_for_room_keep_their_whole_time(silent: str, live: str) -> None:
    with Checker(max_in_flight=2) as checker:
        results = list(checker.check_many([silent] * 6 + [live] * 20, timeout=0.3))
    statuses = Counter(result.status for result in results)
    assert statuses == {Status.TIMEOUT: 6, Status.OK: 20}
    assert all(result.elapsed >= 0.3 for result in results if result.down)


def test_a_rate_is_kept_and_makes_nobody_busy(live: str) -> None:
    with Checker(max_rate=50) as checker:
        started = time.monotonic()
        results = list(checker.check_many([live] * 100, timeout=30))
    assert time.monotonic() - started > 1.5
    assert all(result.up for result in results)
    # None spent its own time on waiting for its turn.
    assert statistics.median(result.elapsed for result in results) < 0.5


def test_a_turn_that_does_not_come_in_time_is_waited_for_again(live: str) -> None:
    """Others use up the rate, which the stream cannot know."""
    with Checker(max_rate=20) as checker, ThreadPoolExecutor(20) as others:
        for _ in range(40):
            others.submit(checker.check, live, 30)
        assert all(result.up for result in checker.check_many([live] * 10, timeout=0.1))


def test_several_threads_stream_through_one_checker(silent: str, live: str, dead: str) -> None:
    counts: List[Counter[Status]] = []

    def stream() -> None:
        counts.append(Counter(result.status for result in checker.check_many([live, dead, silent] * 40, timeout=0.3)))

    with Checker(max_in_flight=50) as checker:
        streams = [threading.Thread(target=stream) for _ in range(6)]
        for thread in streams:
            thread.start()
        for thread in streams:
            thread.join(120)
            assert not thread.is_alive()
    assert counts == [{Status.OK: 40, Status.REFUSED: 40, Status.TIMEOUT: 40}] * 6


def test_a_waiting_stream_hears_of_results_that_another_thread_reaped(checker: Checker, silent: str, live: str) -> None:
    for _ in range(10):
        statuses: List[Status] = []
        waiting = threading.Thread(
            target=lambda: statuses.extend(result.status for result in checker.check_many([silent], timeout=0.1))
        )
        waiting.start()
        deadline = time.monotonic() + 60
        # Each of these reaps whatever there is.
        while not checker_is_idle(checker) and time.monotonic() < deadline:
            checker.check(live, 60)
        waiting.join(10)
        assert statuses == [Status.TIMEOUT]


def test_a_stream_is_not_over_while_a_result_that_another_thread_reaped_is_ready(checker: Checker) -> None:
    many = Many(iter([]), 0, 0)
    many.ready.append(Result("127.0.0.1:80", Status.OK))
    assert many.turn(checker._open())
    many.ready.clear()
    assert not many.turn(checker._open())


def checker_is_idle(checker: Checker) -> bool:
    return not checker._open().pending


def test_leaving_early_cancels_what_is_under_way(silent: str, live: str) -> None:
    with Checker(max_in_flight=100) as checker:
        for result in checker.check_many([silent] * 99 + [live] * 10, timeout=60):
            assert result.up
            break
        # The places of the silent ones are free again: these do not take turns in the last one.
        started = time.monotonic()
        assert all(result.down for result in checker.check_many([silent] * 99, timeout=0.5))
        assert time.monotonic() - started < 20


def test_a_stream_that_nobody_reads_holds_up_no_other(checker: Checker, silent: str, live: str) -> None:
    unread = checker.check_many(itertools.chain([live], itertools.repeat(silent)), timeout=0.3)
    assert next(unread).up
    assert all(result.up for result in checker.check_many([live] * 3000))


def test_what_an_iterable_raises_comes_through_and_cancels(checker: Checker, silent: str) -> None:
    def breaking() -> Iterator[str]:
        yield silent
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(checker.check_many(breaking(), timeout=60))


def test_socket_addresses_are_targets_too(checker: Checker, listener: Listener, dead: str) -> None:
    results = {result.addr: result.up for result in checker.check_many([listener.socket.getsockname(), dead])}
    assert results == {listener.addr: True, dead: False}


def test_a_single_target_is_no_iterable_of_targets(checker: Checker, live: str) -> None:
    with pytest.raises(TypeError, match="iterable of targets"):
        checker.check_many(live)
    with pytest.raises(TypeError, match="iterable of targets"):
        checker.check_many(("127.0.0.1", 80))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a target is a str"):
        list(checker.check_many([live, None]))  # type: ignore[list-item]


def test_a_stream_whose_checker_is_closed_says_so(live: str) -> None:
    checker = Checker()
    stream = checker.check_many(itertools.repeat(live))
    assert next(stream).up
    checker.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(stream)


def test_streams_leave_no_descriptor(live: str) -> None:
    with Checker() as checker:
        list(checker.check_many([live] * 2000))
        before = descriptors()
        for _ in range(20):
            next(checker.check_many([live] * 2000))
        assert descriptors() <= before
