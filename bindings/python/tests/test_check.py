"""One blocking check: what it learns, and what it does not take for an answer."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterator, Tuple

import pytest
from conftest import Listener

import tcpshaker
from tcpshaker import Checker, Result, Status
from tcpshaker._library import lib

Ask = Callable[..., Result]


@pytest.fixture(params=["the main thread", "another thread"])
def ask(request: pytest.FixtureRequest, checker: Checker) -> Iterator[Ask]:
    """The two ways a blocking check goes."""
    if request.param == "the main thread":
        yield checker.check
        return
    with ThreadPoolExecutor(1) as pool:
        yield lambda *arguments: pool.submit(checker.check, *arguments).result()


def test_a_live_target_is_up_and_its_application_never_sees_the_check(ask: Ask, listener: Listener) -> None:
    result = ask(listener.addr)
    assert result.up and not result.down
    assert result.status == Status.OK
    assert result.half_open
    assert result.rtt is not None and 0 < result.rtt <= result.elapsed < 1
    assert result.os_error == 0 and result.syn_retransmits == 0
    assert result.addr == listener.addr
    assert result.address == listener.socket.getsockname()
    assert not listener.was_accepted()


def test_a_closed_port_is_down_and_says_econnrefused(ask: Ask, dead: str) -> None:
    result = ask(dead)
    assert result.down and not result.up
    assert (result.status, result.os_error) == (Status.REFUSED, errno.ECONNREFUSED)
    assert result.error == os.strerror(errno.ECONNREFUSED)
    assert result.rtt is None and not result.half_open


def test_the_error_of_a_name_is_getaddrinfos() -> None:
    assert "Name or service not known" in Result("nobody.test:80", Status.ERR_RESOLVE, socket.EAI_NONAME).error
    assert Result("127.0.0.1:80", Status.OK).error == ""


def test_a_result_says_all_of_it_in_one_line(checker: Checker, listener: Listener, dead: str) -> None:
    up, down, none = checker.check(listener.addr), checker.check(dead), checker.check("nonsense")
    assert up.message.startswith(f"{listener.addr} up, rtt ") and up.message.endswith("ms, half-open")
    assert down.message.startswith(f"{dead} refused after ") and down.message.endswith(" (Connection refused)")
    assert none.message.startswith("nonsense: ") and "not an address" in none.message
    host, port = listener.socket.getsockname()
    assert checker.check(("localhost", port)).message.startswith(f"localhost:{port}: ")
    assert Result("host:80", Status.TIMEOUT, address=("fe80::1", 80, 0, 1)).message.startswith("host:80: [fe80::1%")
    assert Result("\0:80", Status.ERR_ADDRESS).message


def test_each_status_has_the_librarys_name() -> None:
    assert {status: "SHAKER_" + status.name for status in Status} == {
        status: lib.shaker_status_name(status).decode() for status in Status
    }


def test_a_silent_target_is_down_after_its_timeout_and_not_before(ask: Ask, silent: str) -> None:
    started = time.monotonic()
    result = ask(silent, 0.5)
    assert (result.status, result.down) == (Status.TIMEOUT, True)
    assert 0.5 <= result.elapsed <= time.monotonic() - started


@pytest.mark.parametrize(
    "addr",
    ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536"]
    + ["::1", "[::1:80", "127.0.0.1:80\0", "\udc80:80", "a" * 254 + ":1"],
)
def test_what_is_no_address_is_no_verdict_and_no_exception(ask: Ask, addr: str) -> None:
    result = ask(addr)
    assert result.status == Status.ERR_ADDRESS
    assert not result.up and not result.down
    assert result.address is None and result.addr == addr


def test_an_ipv6_target_is_reported_as_the_socket_module_writes_it(checker: Checker) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        result = checker.check("[::1]:%d" % listening.getsockname()[1])
        assert result.up and result.address == listening.getsockname()


def test_the_default_checker_gives_verdicts_from_any_thread(live: str, dead: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(tcpshaker.check, [live, dead] * 500))
    assert [result.up for result in results] == [True, False] * 500
    assert all(result.down for result in results[1::2])


def test_other_threads_run_during_a_blocking_check(checker: Checker, silent: str) -> None:
    seen = []
    other = threading.Timer(0.1, lambda: seen.append(time.monotonic()))
    other.start()
    assert checker.check(silent, 2).down
    assert time.monotonic() - seen[0] > 0.5
    other.join()


def test_a_result_has_no_truth_value_for_it_may_be_no_verdict(checker: Checker, live: str) -> None:
    with pytest.raises(TypeError, match="up, down, or no verdict"):
        bool(checker.check(live))


def test_a_result_survives_pickling(checker: Checker, live: str) -> None:
    result = checker.check(live)
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("number", [4, 99, -12, -2147483648])
def test_a_status_that_nobody_knows_yet_goes_by_its_sign(number: int) -> None:
    status = Status(number)
    assert status == number and status.name == "UNKNOWN" and repr(status)
    result = Result("127.0.0.1:1", status)
    assert result.down == (number > 0) and not result.up
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_status_of_a_newer_library_has_the_name_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpshaker._result.lib.shaker_status_name", lambda number: b"SHAKER_ERR_%d" % -number)
    assert Status(-12).name == "ERR_12" and Status(Status.OK).name == "OK"


@pytest.mark.parametrize("timeout", [0, -1, -0.001, float("nan"), float("inf"), 2**32])
def test_a_timeout_that_cannot_be_is_misuse(checker: Checker, live: str, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        checker.check(live, timeout)
    with pytest.raises(ValueError, match="timeout"):
        checker.check_many([live], timeout)
    with pytest.raises(ValueError, match="timeout"):
        Checker(timeout=timeout)


def test_a_socket_address_is_a_target_as_well_as_its_text(ask: Ask, listener: Listener) -> None:
    host, port = listener.socket.getsockname()
    result = ask((host, port))
    assert result.up and result.addr == listener.addr and result.address == (host, port)
    assert ask(("localhost", port)).addr == f"localhost:{port}"
    assert tcpshaker.check((host, port)).up


def test_an_ipv6_socket_address_is_a_target_whole_and_cut_short(checker: Checker) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        whole = listening.getsockname()
        port = whole[1]
        for target in (whole, whole[:2], ("::1", port, 0, 1)):
            result = checker.check(target)
            assert result.up and result.addr in (f"[::1]:{port}", f"[::1%1]:{port}")
            assert result.address is not None and result.address[:2] == ("::1", port)


@pytest.mark.parametrize("target", [("127.0.0.1", 0), ("127.0.0.1", 65536), ("::1]:80", 80), ("a b", 80), ("\0", 80)])
def test_a_socket_address_that_cannot_be_is_no_verdict(ask: Ask, target: Tuple[str, int]) -> None:
    assert ask(target).status == Status.ERR_ADDRESS


@pytest.mark.parametrize(
    "addr", [None, 80, b"127.0.0.1:80", ("127.0.0.1",), ("127.0.0.1", "80"), (b"::1", 80), ("::1", 80, 0)]
)
def test_what_is_neither_text_nor_a_socket_address_is_misuse(checker: Checker, addr: object) -> None:
    with pytest.raises(TypeError, match="a target is a str"):
        checker.check(addr)  # type: ignore[arg-type]
