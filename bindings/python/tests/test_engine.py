"""What sends the segments: as the program says, and as the process may."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import time
from typing import List

import pytest

from tcpshaker import Checker, Status


def may_open_raw_sockets() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).close()
    except PermissionError:
        return False
    return True


def test_the_kernels_sockets_send_unless_the_program_says_otherwise(live: str) -> None:
    with Checker() as checker:
        assert checker.engine == "socket"
    with Checker(engine="auto", zero_linger=False) as checker:
        assert checker.engine == "socket"
        assert checker.check(live).up


def test_raw_without_the_privilege_is_a_permission_error_and_auto_takes_sockets(live: str) -> None:
    wrapper: List[str] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if may_open_raw_sockets() else []
    program = """
        import sys
        import tcpshaker

        try:
            tcpshaker.Checker(engine="raw")
        except PermissionError:
            with tcpshaker.Checker(engine="auto") as checker:
                print(checker.engine, checker.check(sys.argv[1], 60).up)
    """
    command = [*wrapper, sys.executable, "-W", "error", "-c", textwrap.dedent(program), live]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "socket True\n", "")


def test_raw_checks_are_half_open_and_none_completes_a_handshake(live: str, dead: str) -> None:
    if not may_open_raw_sockets():
        pytest.skip("this process may not open raw sockets")
    raw = Checker(engine="raw")
    with raw, Checker(engine="auto") as automatic, Checker(engine="raw", zero_linger=False) as fin:
        assert (raw.engine, automatic.engine, fin.engine) == ("raw", "raw", "raw")
        result = raw.check(live, 60)
        assert result.up and result.half_open
        assert raw.check(dead, 60).status == Status.REFUSED
        assert sorted(result.up for result in automatic.check_many([live, dead] * 100)) == [False] * 100 + [True] * 100
        assert fin.check(live, 60).status == Status.ERR_UNSUPPORTED


def test_another_syn_is_sent_after_the_interval(silent: str) -> None:
    deadline = time.monotonic() + 60
    with Checker(syn_interval=0.05) as checker:
        while not checker.check(silent, 0.25).syn_retransmits:
            assert time.monotonic() < deadline
    with Checker(syn_interval=0) as checker:
        while checker.check(silent, 0.25).syn_retransmits:
            assert time.monotonic() < deadline
