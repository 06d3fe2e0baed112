"""Ctrl-C, fork, and the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Callable

import pytest
from conftest import Script

import tcpshaker
from tcpshaker import Checker

BLOCKED = {
    "the default checker": "tcpshaker.check(sys.argv[1], 600)",
    "a checker of its own": "checker.check(sys.argv[1], 600)",
    "a stream": "list(checker.check_many([sys.argv[1]] * 5000, 600))",
    "a stream kept by its rate": "list(tcpshaker.Checker(max_rate=1).check_many([sys.argv[1]] * 5000, 600))",
    "an event loop": "asyncio.run(checker.acheck(sys.argv[1], 600))",
}


@pytest.mark.parametrize("blocked", BLOCKED)
def test_ctrl_c_ends_a_blocked_call_at_once_and_the_checker_goes_on(
    script: Script, blocked: str, silent: str, live: str
) -> None:
    process = script(
        f"""
        import asyncio, sys, warnings, tcpshaker
        warnings.simplefilter("ignore", ResourceWarning)
        with tcpshaker.Checker() as checker:
            print("blocked", flush=True)
            try:
                {BLOCKED[blocked]}
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            print(checker.check(sys.argv[2], 60).up, tcpshaker.check(sys.argv[2], 60).up)
        """,
        silent,
        live,
    )
    assert process.stdout is not None and process.stdout.readline() == "blocked\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("interrupted\nTrue True\n", "")


def test_ctrl_c_in_the_middle_of_a_stream_costs_other_threads_nothing(script: Script, live: str) -> None:
    process = script(
        """
        import itertools, os, signal, sys, threading, tcpshaker
        checker = tcpshaker.Checker()
        counts = []
        def stream():
            counts.append(sum(result.up for result in checker.check_many([sys.argv[1]] * 20000, 60)))
        others = [threading.Thread(target=stream) for _ in range(2)]
        for thread in others:
            thread.start()
        interrupted = 0
        while any(thread.is_alive() for thread in others):
            try:
                timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
                timer.start()
                for _ in checker.check_many(itertools.repeat(sys.argv[1]), 60):
                    pass
            except KeyboardInterrupt:
                interrupted += 1
        checker.close()
        print(counts, interrupted > 0)
        """,
        live,
    )
    assert process.communicate(timeout=120) == ("[20000, 20000] True\n", "")


def test_a_forked_child_has_a_default_checker_of_its_own(live: str, dead: str) -> None:
    assert tcpshaker.check(live).up

    def child() -> None:
        assert tcpshaker.check(live).up
        assert tcpshaker.check(dead).down

    assert exit_status_of(child) == 0
    assert tcpshaker.check(live).up


def test_a_forked_child_may_not_use_its_parents_checker_and_does_not_disturb_it(live: str, silent: str) -> None:
    with Checker() as checker:
        stream = checker.check_many([live, silent, silent], timeout=2)
        assert next(stream).up

        def child() -> None:
            checker.close()
            for call in (lambda: checker.check(live), lambda: checker.check_many([live]), lambda: next(stream)):
                with pytest.raises(RuntimeError, match="belongs to the parent process"):
                    call()
            with Checker() as own:
                assert own.check(live).up

        assert exit_status_of(child) == 0
        assert checker.check(live).up
        assert [result.down for result in stream] == [True, True]


def test_a_fork_while_other_threads_check_leaves_the_child_able_to(script: Script, live: str) -> None:
    process = script(
        """
        import os, sys, threading, warnings, tcpshaker
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of fork among threads.
        sys.setswitchinterval(0.0001)
        with tcpshaker.Checker() as checker:
            over = threading.Event()
            def busy():
                while not over.is_set():
                    tcpshaker.check(sys.argv[1], 60)
                    list(checker.check_many([sys.argv[1]] * 50, 60))
            others = [threading.Thread(target=busy) for _ in range(3)]
            for thread in others:
                thread.start()
            for _ in range(30):
                pid = os.fork()
                if pid == 0:
                    up = tcpshaker.check(sys.argv[1], 60).up
                    try:
                        checker.check(sys.argv[1])
                    except RuntimeError:
                        os._exit(0 if up else 1)
                assert os.waitpid(pid, 0)[1] == 0
            over.set()
            for thread in others:
                thread.join()
        print("done")
        """,
        live,
    )
    assert process.communicate(timeout=120) == ("done\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_returns_results(method: str, live: str, dead: str) -> None:
    assert tcpshaker.check(live).up
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert [result.up for result in pool.map(tcpshaker.check, [live, dead] * 10)] == [True, False] * 10
        pool.close()
        pool.join()


def test_a_checker_collected_in_a_cycle_with_its_checks_is_not_used_after_it_was_freed(
    script: Script, silent: str
) -> None:
    process = script(
        """
        import asyncio, gc, sys, warnings, tcpshaker
        warnings.simplefilter("ignore", ResourceWarning)
        gc.disable()
        for _ in range(50):
            checker = tcpshaker.Checker()
            stream = checker.check_many([sys.argv[1]] * 20 + ["nonsense"], 600)
            assert next(stream).addr == "nonsense"
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda loop, context: None)
            task = loop.create_task(checker.acheck(sys.argv[1], 600))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            checker.cycle = [checker, stream, task]
            del checker, stream, loop, task
            gc.collect()
        print("done")
        """,
        silent,
    )
    assert process.communicate(timeout=120) == ("done\n", "")


ENDINGS = {
    "nothing was closed": "next(stream)",
    "a daemon thread is blocked": """
        import threading
        threading.Thread(target=checker.check, args=(sys.argv[1], 600), daemon=True).start()
        threading.Thread(target=list, args=(stream,), daemon=True).start()
        tcpshaker.check(sys.argv[1], 0.1)""",
    "a cycle is collected last": "cycle = [checker, stream]; cycle.append(cycle); del checker, stream",
    "an event loop was left": """
        import asyncio
        loop = asyncio.new_event_loop()
        task = loop.create_task(checker.acheck(sys.argv[1], 600))
        loop.run_until_complete(asyncio.sleep(0.05))
        task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_at_once_and_without_a_word(script: Script, ending: str, silent: str) -> None:
    process = script(
        "import sys, tcpshaker\n"
        "checker = tcpshaker.Checker()\n"
        "stream = checker.check_many(['nonsense'] + [sys.argv[1]] * 10, 600)\n"
        "print(checker.check('nonsense').status.name, flush=True)\n" + textwrap.dedent(ENDINGS[ending]),
        silent,
    )
    assert process.communicate(timeout=60) == ("ERR_ADDRESS\n", "")
    assert process.returncode == 0


def test_a_library_that_is_not_there_is_an_import_error_that_says_what_to_do() -> None:
    environment = {**os.environ, "TCPSHAKER_LIBRARY": "/nowhere/libtcpshaker.so.0.1"}
    process = subprocess.run(
        [sys.executable, "-c", "import tcpshaker"], env=environment, capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "ImportError: tcpshaker needs libtcpshaker.so.0.1" in process.stderr
    assert "TCPSHAKER_LIBRARY" in process.stderr


def exit_status_of(child: Callable[[], None]) -> int:
    """Runs it in a forked process, which sees no more of pytest."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1
