"""A firewall mark of a check's own, in each way to make one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
from typing import List

import pytest

from tcpshaker import Checker

EACH_WAY = """
    import asyncio, json, socket, subprocess, sys, threading
    import tcpshaker

    def each_way(checker, addr, mark):
        results = [checker.check(addr, 60, mark=mark)]
        other = threading.Thread(target=lambda: results.append(checker.check(addr, 60, mark=mark)))
        other.start()
        other.join()
        results.extend(checker.check_many([addr, addr], 60, mark=mark))
        results.append(asyncio.run(checker.acheck(addr, 60, mark=mark)))
        return results

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    addr = "127.0.0.1:%d" % port
"""


def said(wrapper: List[str], source: str) -> str:
    """What a program of its own says that a wrapper runs."""
    program = [*wrapper, sys.executable, "-W", "error", "-c", textwrap.dedent(EACH_WAY) + textwrap.dedent(source)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def may_set_marks() -> bool:
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
        except PermissionError:
            return False
    return True


def test_each_check_leaves_with_its_own_mark_and_without_one_with_the_checkers() -> None:
    namespace = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*namespace, "nft", "list", "ruleset"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"there is no network namespace with nftables: {error}")
    counts = said(
        namespace,
        """
        marks = [0, 5, 6, 7, 0x8000_0000]
        syn = f"tcp dport {port} tcp flags & (syn | ack) == syn"
        rules = "".join(f"{syn} meta mark {mark} counter name mark{mark}\\n" for mark in marks)
        counters = "".join(f"counter mark{mark} {{}}\\n" for mark in marks)
        hook = "type filter hook output priority 0;\\n"
        table = f"table inet tests {{\\n{counters}chain leaving {{ {hook}{rules}}}\\n}}\\n"
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True)
        with tcpshaker.Checker() as plain, tcpshaker.Checker(mark=5) as own:
            for mark in [7, 0, 6, 7, 0x8000_0000]:
                assert all(result.up for result in each_way(plain, addr, mark))
            for mark in [0, 7]:
                assert all(result.up for result in each_way(own, addr, mark))
        assert tcpshaker.check(addr, 60, mark=6).up
        listing = subprocess.run(["nft", "-j", "list", "counters"], capture_output=True, text=True, check=True)
        found = [entry["counter"] for entry in json.loads(listing.stdout)["nftables"] if "counter" in entry]
        print(json.dumps({counter["name"]: counter["packets"] for counter in found}))
        """,
    )
    assert json.loads(counts) == {"mark0": 5, "mark5": 5, "mark6": 6, "mark7": 15, "mark2147483648": 5}


def test_a_mark_without_the_privilege_is_unsupported_and_nothing_is_sent() -> None:
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if may_set_marks() else []
    answers = said(
        unprivileged,
        """
        listener.setblocking(False)
        with tcpshaker.Checker(zero_linger=False) as checker:
            results = each_way(checker, addr, 7)
            # One that completes its handshake, and comes after all others.
            assert checker.check(addr, 60).up
        listener.settimeout(60)
        listener.accept()[0].close()
        listener.setblocking(False)
        try:
            listener.accept()
            print("there was another")
        except BlockingIOError:
            print(sorted({(result.status.name, result.os_error) for result in results}), len(results))
        """,
    )
    assert answers == "[('ERR_UNSUPPORTED', 1)] 5\n"


@pytest.mark.parametrize("mark", [-1, 2**32])
def test_a_mark_that_cannot_be_is_misuse(checker: Checker, live: str, mark: int) -> None:
    for call in (lambda: checker.check(live, mark=mark), lambda: checker.check_many([live], mark=mark)):
        with pytest.raises(ValueError, match="mark must be"):
            call()
