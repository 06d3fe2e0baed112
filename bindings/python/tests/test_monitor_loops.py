"""Loops over a monitor's changes: none is lost or seen twice, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import List, Optional

import pytest
from conftest import Next, Run, Script, descriptors, threads
from watches import bring, once, until

from tcpshaker import Change, Checker, Monitor, State


def test_what_a_loop_does_not_see_waits_for_the_next(next_change: Next, checker: Checker, dead: str) -> None:
    with checker.monitor() as monitor:
        ids = [monitor.add(once(dead)) for _ in range(10)]
        for id in ids:
            bring(monitor, id, State.UP)
        monitor.remove(ids[5])
        seen = [next_change(monitor).id for _ in range(3)]
        for change in monitor:
            seen.append(change.id)
            break
        while len(seen) < 9:
            seen.append(next_change(monitor).id)
        assert seen == ids[:5] + ids[6:]


def test_a_storm_of_cancellations_loses_no_change(run: Run, checker: Checker, dead: str) -> None:
    async def main() -> None:
        seen: List[int] = []
        with checker.monitor() as monitor:

            async def loop() -> None:
                async for change in monitor:
                    seen.append(change.id)
                    await asyncio.sleep(0)

            ids = [monitor.add(once(dead)) for _ in range(300)]
            for turn, id in enumerate(ids):
                tasks = [asyncio.ensure_future(loop()) for _ in range(3)]
                if turn % 2:
                    await asyncio.sleep(0)
                bring(monitor, id, State.UP)
                for _ in range(turn % 5):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            while len(seen) < len(ids):
                seen.append((await asyncio.wait_for(monitor.__anext__(), 60)).id)
        assert sorted(seen) == ids

    run(main())


def test_the_event_loop_goes_on_while_a_monitor_waits(run: Run, checker: Checker, dead: str) -> None:
    async def main() -> None:
        with checker.monitor() as monitor:
            id = monitor.add(once(dead))
            before = threads()
            change = asyncio.ensure_future(monitor.__anext__())
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert not change.done() and threads() == before
            bring(monitor, id, State.UP)
            assert (await asyncio.wait_for(change, 60)).after == State.UP

    run(main())


def test_loops_in_several_threads_share_the_changes(run: Run, checker: Checker, dead: str) -> None:
    seen: List[int] = []

    async def main() -> None:
        async for change in monitor:
            seen.append(change.id)

    def block() -> None:
        seen.extend(change.id for change in monitor)

    with checker.monitor() as monitor:
        loops = [threading.Thread(target=target) for target in [block, lambda: run(main())] * 3]
        for thread in loops:
            thread.start()
        ids = [monitor.add(once(dead)) for _ in range(200)]
        for id in ids:
            bring(monitor, id, State.UP)
        until(lambda: len(seen) >= len(ids))
    for thread in loops:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(seen) == ids


@pytest.mark.parametrize("closing", ["monitor", "checker"])
def test_closing_in_another_thread_ends_every_loop(run: Run, closing: str, silent: str) -> None:
    ends: List[Optional[Change]] = []
    checker = Checker()
    monitor = checker.monitor()
    monitor.add(once(silent))

    async def main() -> None:
        async for change in monitor:
            ends.append(change)
        ends.append(None)

    def block() -> None:
        ends.extend(monitor)
        ends.append(None)

    loops = [threading.Thread(target=target) for target in [block, lambda: run(main())] * 2]
    for thread in loops:
        thread.start()
    time.sleep(0.1)
    (monitor if closing == "monitor" else checker).close()
    for thread in loops:
        thread.join(60)
        assert not thread.is_alive()
    assert ends == [None] * 4
    checker.close()


def test_a_monitor_closed_in_its_own_loop_ends_it(run: Run, checker: Checker, live: str) -> None:
    with checker.monitor(max_spread=0) as monitor:
        monitor.add(live)
        for _ in monitor:
            monitor.close()

    async def main() -> None:
        with checker.monitor(max_spread=0) as monitor:
            monitor.add(live)
            async for _ in monitor:
                monitor.close()

    run(main())


def test_monitors_and_their_loops_leave_no_descriptor_no_thread_and_no_cycle(run: Run, live: str, silent: str) -> None:
    async def main() -> None:
        with Checker() as checker, checker.monitor(max_spread=0) as monitor:
            monitor.add_many([once(live), once(silent)])
            async for _ in monitor:
                break
            monitor.add(once(live))
            for _ in monitor:
                break
            forgotten = asyncio.ensure_future(monitor.__anext__())
            await asyncio.sleep(0.01)
            assert not forgotten.done()

    run(main())
    gc.collect()
    before = descriptors(), threads()
    for _ in range(5):
        run(main())
    gc.collect()
    assert (descriptors(), threads()) == before


def test_a_forgotten_monitor_is_freed_with_a_warning(checker: Checker, live: str) -> None:
    with checker.monitor(max_spread=0) as first:
        first.add(live)
        assert next(first).after == State.UP  # The checker keeps the socket.
    gc.collect()
    before = descriptors(), threads()
    monitor = checker.monitor(max_spread=0)
    monitor.add(live)
    assert next(monitor).after == State.UP and threads() > before[1]
    with pytest.warns(ResourceWarning, match="unclosed <tcpshaker"):
        del monitor
        gc.collect()
    assert (descriptors(), threads()) == before


def test_a_caller_driven_monitor_has_no_thread(next_change: Next, live: str, dead: str) -> None:
    before = threads()
    with Checker(caller_driven=True) as checker, checker.monitor(max_spread=0) as monitor:
        monitor.add_many([once(live), once(dead)])
        assert {next_change(monitor).after, next_change(monitor).after} == {State.UP, State.DOWN}
        assert threads() == before


def test_ctrl_c_ends_a_blocked_loop_at_once_and_the_monitor_goes_on(script: Script, live: str) -> None:
    process = script(
        """
        import sys, tcpshaker
        with tcpshaker.Checker() as checker, checker.monitor(max_spread=0) as monitor:
            id = monitor.add(tcpshaker.Watch(sys.argv[1], interval=3600))
            try:
                for change in monitor:
                    print(change.after.name, flush=True)
            except KeyboardInterrupt:
                monitor.report(id, False), monitor.report(id, False), monitor.report(id, False)
                print(next(monitor).after.name)
        """,
        live,
    )
    assert process.stdout is not None and process.stdout.readline() == "UP\n"
    time.sleep(0.2)
    process.send_signal(2)
    assert process.communicate(timeout=60) == ("DOWN\n", "")


def test_a_forked_child_may_not_use_its_parents_monitor_and_does_not_disturb_it(script: Script, live: str) -> None:
    process = script(
        """
        import asyncio, os, sys, threading, warnings, tcpshaker
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of fork among threads.
        checker = tcpshaker.Checker()
        monitor = checker.monitor(max_spread=0)
        id = monitor.add(tcpshaker.Watch(sys.argv[1], interval=3600))
        print(next(monitor).after.name, flush=True)
        waiting = threading.Thread(target=lambda: print(next(monitor).after.name, flush=True))
        waiting.start()
        pid = os.fork()
        if pid == 0:
            for call in (lambda: monitor.get(id), lambda: next(monitor), lambda: asyncio.run(monitor.__anext__())):
                try:
                    call()
                except RuntimeError as error:
                    print("parent" in str(error), flush=True)
            monitor.close()
            checker.close()
            with tcpshaker.Checker() as own, own.monitor(max_spread=0) as mine:
                mine.add(sys.argv[1])
                print(next(mine).after.name, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        for _ in range(3):
            monitor.report(id, False)
        waiting.join()
        monitor.close()
        checker.close()
        """,
        live,
    )
    assert process.communicate(timeout=60) == ("UP\nTrue\nTrue\nTrue\nUP\nDOWN\n", "")


@pytest.mark.parametrize("loop", ["for _ in monitor: pass", "asyncio.run(forever())"])
def test_the_interpreter_ends_at_once_though_monitors_are_open(script: Script, loop: str, live: str) -> None:
    process = script(
        f"""
        import asyncio, sys, threading, time, tcpshaker
        checker = tcpshaker.Checker()
        monitor = checker.monitor(max_spread=0)
        monitor.add(sys.argv[1])
        async def forever():
            async for _ in monitor: pass
        def block():
            {loop}
        threading.Thread(target=block, daemon=True).start()
        time.sleep(0.2)
        print("done", flush=True)
        """,
        live,
    )
    assert process.communicate(timeout=60) == ("done\n", "")
    assert process.returncode == 0
