"""Monitors: what a change says, what is known of a watch, and what can be none."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any, Dict

import pytest
from conftest import Listener, Next
from watches import MONTHS, bring, once, until, waiting

from tcpshaker import Checker, Result, State, Status, Watch


def test_a_change_says_whose_it_is_and_what_led_to_it(
    next_change: Next, checker: Checker, listener: Listener, dead: str
) -> None:
    before = time.monotonic()
    with checker.monitor(max_spread=0) as monitor:
        watches = [once(listener.addr, user_data=["up"]), once(dead, user_data=["down"])]
        ids = monitor.add_many(watches)
        changes = {change.id: change for change in (next_change(monitor), next_change(monitor))}
        for id, watch, state in zip(ids, watches, (State.UP, State.DOWN)):
            change = changes[id]
            assert (change.addr, change.before, change.after, change.run) == (watch.addr, State.UNKNOWN, state, 1)
            assert change.user_data is watch.user_data
            assert not change.reported and not change.skipped
            assert before <= change.at <= time.monotonic()
            assert change.last.addr == watch.addr and change.last.up == (state == State.UP)
        assert changes[ids[0]].last.half_open and changes[ids[0]].last.address == listener.socket.getsockname()
        assert changes[ids[1]].last.os_error == errno.ECONNREFUSED
        assert waiting(monitor) == []
    assert not listener.was_accepted()


def test_a_socket_address_is_watched_too(checker: Checker, listener: Listener) -> None:
    with checker.monitor(max_spread=0) as monitor:
        monitor.add(listener.socket.getsockname())
        monitor.add(Watch(listener.socket.getsockname(), interval=3600, user_data="the other"))
        for change in (next(monitor), next(monitor)):
            assert change.addr == change.last.addr == listener.addr and change.last.up


def test_what_is_known_of_a_watch_can_be_read(checker: Checker, live: str) -> None:
    with checker.monitor(max_spread=0) as monitor:
        id = monitor.add(once(live))
        since = next(monitor).at
        info = monitor.get(id)
        assert (info.state, info.run, info.since) == (State.UP, 1, since)
        assert (info.checks, info.up, info.down, info.no_verdict, info.changes) == (1, 1, 0, 0, 1)
        assert info.rtt and info.rtt_smoothed == info.rtt and info.rtt_variation
        assert info.last.up and info.last.addr == live
        assert info.next is not None and MONTHS - 1000 < info.next - time.monotonic() <= MONTHS
        monitor.check_now(id)
        until(lambda: monitor.get(id).checks == 2)
        monitor.pause(id)
        assert monitor.get(id).paused and monitor.get(id).next is None
        monitor.pause(id, False)
        assert not monitor.get(id).paused
        unchecked = monitor.get(monitor.add(once(live, initial=State.UP)))
        assert unchecked.state == State.UP
        assert monitor.held == 0


def test_a_slow_reader_has_the_first_change_and_the_latest(next_change: Next, checker: Checker, live: str) -> None:
    with checker.monitor(max_spread=0) as monitor:
        id = monitor.add(once(live))
        next_change(monitor)
        for state in [State.DOWN, State.UP, State.DOWN, State.UP]:
            bring(monitor, id, state)
        first, latest = next_change(monitor), next_change(monitor)
        assert (first.before, first.after, first.reported, first.skipped) == (State.UP, State.DOWN, True, False)
        assert (latest.after, latest.reported, latest.skipped, latest.run) == (State.UP, True, True, 2)
        assert waiting(monitor) == []


def test_settings_of_a_monitor_are_used(checker: Checker, dead: str) -> None:
    with checker.monitor(max_spread=0, every_result=True, max_down_percent=0) as monitor:
        monitor.add(Watch(dead, timeout=60, interval=0.005))
        for _ in range(3):
            change = next(monitor)
            assert (change.before, change.after) == (State.UNKNOWN, State.UNKNOWN) and change.last.down
        assert monitor.held > 0


@pytest.mark.parametrize("settings", [{"max_spread": -1.0}, {"max_down_percent": 101}, {"max_down_percent": -1}])
def test_a_setting_of_a_monitor_that_cannot_be_is_named(checker: Checker, settings: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        checker.monitor(**settings)


@pytest.mark.parametrize(
    "settings",
    [{name: value} for name in ("timeout", "interval", "falling", "rising", "down") for value in (0, -1.0, 1e9)]
    + [{name: 0} for name in ("fall", "rise", "first_fall", "first_rise")]
    + [{"jitter_percent": 51}, {"family": socket.AF_UNIX}, {"mark": -1}],
)
def test_a_setting_of_a_watch_that_cannot_be_is_named_and_none_is_added(
    checker: Checker, live: str, settings: Dict[str, Any]
) -> None:
    with checker.monitor(max_spread=0) as monitor:
        with pytest.raises(ValueError, match=next(iter(settings))):
            monitor.add_many([Watch(live), Watch(live, **settings)])
        assert waiting(monitor, 0.01) == []


def test_what_is_no_watch_is_misuse(checker: Checker, live: str) -> None:
    with checker.monitor(max_spread=0) as monitor:
        for wrong in ("", "127.0.0.1", "127.0.0.1:0", live + "\0"):
            with pytest.raises(ValueError, match="not an address"):
                monitor.add(wrong)
            with pytest.raises(ValueError, match="one of 2"):
                monitor.add_many([live, wrong])
        with pytest.raises(ValueError):
            monitor.add(Watch(live, initial=3))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a target is a str"):
            monitor.add(80)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="iterable of watches"):
            monitor.add_many(live)
        with pytest.raises(TypeError, match="iterable of watches"):
            monitor.add_many(("127.0.0.1", 80))  # type: ignore[arg-type]
        assert monitor.add_many([]) == [] and waiting(monitor) == []
        for none in (0, 12345, 2**64 - 1):
            for call in (monitor.pause, monitor.check_now, monitor.get, monitor.remove):
                with pytest.raises(ValueError, match=f"no watch {none}"):
                    call(none)
            with pytest.raises(ValueError, match="no watch"):
                monitor.report(none, True)
        with pytest.raises(ValueError, match="id"):
            monitor.get(-1)
        id = monitor.add(live)
        with pytest.raises(ValueError, match=f"no watch 12345 or {id}"):
            monitor.remove(12345, id)
        with pytest.raises(ValueError, match="no watch"):
            monitor.get(id)


def test_watches_keep_to_their_family(checker: Checker, live: str) -> None:
    with checker.monitor(max_spread=0) as monitor:
        monitor.add(once(live, family=socket.AF_INET))
        assert next(monitor).last.up
        other = monitor.add(once(live, family=socket.AF_INET6))
        until(lambda: monitor.get(other).no_verdict == 1)
        assert monitor.get(other).last.status == Status.ERR_ADDRESS and waiting(monitor) == []


def test_a_closed_monitor_is_misused_by_every_call(checker: Checker, live: str) -> None:
    monitor = checker.monitor()
    id = monitor.add(live)
    monitor.close()
    monitor.close()
    for call in (
        lambda: monitor.add(live),
        lambda: monitor.remove(id),
        lambda: monitor.pause(id),
        lambda: monitor.check_now(id),
        lambda: monitor.report(id, True),
        lambda: monitor.get(id),
        lambda: monitor.held,
        lambda: iter(monitor),
        lambda: monitor.__aiter__(),
        monitor.__enter__,
    ):
        with pytest.raises(RuntimeError, match="the monitor is closed"):
            call()
    with pytest.raises(StopIteration):
        next(monitor)
    checker.close()
    with pytest.raises(RuntimeError, match="the checker is closed"):
        checker.monitor()


def test_a_watch_that_was_never_checked_has_no_result_yet(checker: Checker, live: str) -> None:
    with checker.monitor() as monitor:
        id = monitor.add(once(live))
        monitor.report(id, False)
        change = next(monitor)
        assert change.reported and change.last == Result(live, Status.ERR_BUSY)
