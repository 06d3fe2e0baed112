"""acheck: on the running event loop, without a thread, and cancelled with its task."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
import time
from collections import Counter
from typing import List

import pytest
from conftest import Listener, Run, descriptors, threads

from tcpshaker import Checker, Result, Status

def test_verdicts_are_awaited(run: Run, checker: Checker, listener: Listener, dead: str, silent: str) -> None:
    async def main() -> List[Result]:
        targets = [listener.addr, dead, silent, "nonsense"]
        return list(await asyncio.gather(*(checker.acheck(addr, 0.2) for addr in targets)))

    up, down, timeout, nonsense = run(main())
    assert up.up and up.half_open and up.rtt > 0 and up.address == listener.socket.getsockname()
    assert down.status == Status.REFUSED
    assert timeout.status == Status.TIMEOUT and timeout.elapsed >= 0.2
    assert nonsense.status == Status.ERR_ADDRESS
    assert not listener.was_accepted()


def test_a_thousand_at_once_half_of_them_dead(run: Run, checker: Checker, live: str, dead: str) -> None:
    async def main() -> List[Result]:
        before = threads()
        results = await asyncio.gather(*(checker.acheck(addr, 30) for addr in [live, dead] * 500))
        assert threads() == before
        return results

    results = run(main())
    assert [result.up for result in results] == [True, False] * 500
    assert all(result.down for result in results[1::2])


def test_the_loop_goes_on_while_a_check_waits(run: Run, checker: Checker, silent: str) -> None:
    async def main() -> None:
        check = asyncio.ensure_future(checker.acheck(silent, 2))
        ticks = 0
        while not check.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks > 10 and check.result().status == Status.TIMEOUT

    run(main())


def test_cancelling_the_task_cancels_the_check(run: Run, silent: str, live: str) -> None:
    async def main() -> None:
        with Checker(max_in_flight=1) as checker:
            task = asyncio.ensure_future(checker.acheck(silent, 600))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # The only place is free again.
            assert (await checker.acheck(live, 60)).up

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11")
def test_an_outer_timeout_cancels_the_check(run: Run, silent: str, live: str) -> None:
    async def main() -> None:
        with Checker(max_in_flight=1) as checker:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await checker.acheck(silent, 600)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(checker.acheck(silent, 600), 0.1)
            assert (await checker.acheck(live, 60)).up

    run(main())


def test_a_storm_of_cancellations_loses_no_verdict(run: Run, checker: Checker, silent: str, live: str) -> None:
    async def main() -> None:
        cancelled = [asyncio.ensure_future(checker.acheck(addr, 60)) for addr in [live, silent] * 200]
        kept = [asyncio.ensure_future(checker.acheck(live, 60)) for _ in range(200)]
        for turn, task in enumerate(cancelled):
            if turn % 50 == 0:
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        assert all(result.up for result in await asyncio.gather(*kept))

    run(main())


def test_event_loops_in_several_threads_share_a_checker(
    run: Run, checker: Checker, live: str, dead: str, silent: str
) -> None:
    counts = []

    async def main() -> None:
        for _ in range(5):
            targets = [live, dead] * 20 + [silent]
            results = await asyncio.gather(*(checker.acheck(addr, 0.2 if addr == silent else 30) for addr in targets))
            assert [result.addr for result in results] == targets
            # On a busy machine the silent one may have had its turn too late for its silence to say anything.
            assert results[-1].status in (Status.TIMEOUT, Status.ERR_BUSY)
            counts.append(Counter(result.status for result in results[:-1]))

    loops = [threading.Thread(target=lambda: run(main())) for _ in range(4)]
    for thread in loops:
        thread.start()
    # A blocking stream at the same time, whose results the loops must not keep.
    streamed = Counter(result.status for result in checker.check_many([live, dead] * 3000, 30))
    for thread in loops:
        thread.join(120)
        assert not thread.is_alive()
    assert streamed == {Status.OK: 3000, Status.REFUSED: 3000}
    assert counts == [{Status.OK: 20, Status.REFUSED: 20}] * 20


def test_one_loop_after_another_may_use_a_checker(run: Run, checker: Checker, live: str) -> None:
    for _ in range(20):
        assert run(checker.acheck(live)).up


def test_one_loop_may_use_several_checkers_in_turn(run: Run, live: str) -> None:
    async def main() -> None:
        with Checker() as one, Checker() as other:
            for checker in [one, other] * 3:
                assert (await asyncio.wait_for(checker.acheck(live, 30), 30)).up

    run(main())


def test_closing_in_the_loop_ends_what_is_awaited(run: Run, silent: str) -> None:
    async def main() -> None:
        with Checker() as checker:
            tasks = [asyncio.ensure_future(checker.acheck(silent, 600)) for _ in range(3)]
            await asyncio.sleep(0.1)
        assert [(await task).status for task in tasks] == [Status.ERR_CLOSED] * 3
        with pytest.raises(RuntimeError, match="closed"):
            await checker.acheck(silent)

    run(main())


def test_closing_in_another_thread_ends_what_is_awaited(run: Run, silent: str) -> None:
    async def main() -> None:
        checker = Checker()
        tasks = [asyncio.ensure_future(checker.acheck(silent, 600)) for _ in range(3)]
        await asyncio.sleep(0.1)
        await asyncio.get_running_loop().run_in_executor(None, checker.close)
        assert [(await task).status for task in tasks] == [Status.ERR_CLOSED] * 3

    run(main())


def test_no_descriptor_for_the_loop_is_no_verdict(checker: Checker, live: str) -> None:
    async def main() -> Result:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            return await checker.acheck(live)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert asyncio.run(main()).status == Status.ERR_LOCAL


def test_loops_leave_no_descriptor_and_no_cycle(run: Run, live: str, silent: str) -> None:
    async def main() -> None:
        with Checker() as checker:
            forgotten = asyncio.ensure_future(checker.acheck(silent, 600))
            assert (await checker.acheck(live)).up
            assert not forgotten.done()

    async def abandon(checker: Checker) -> None:
        asyncio.ensure_future(checker.acheck(silent, 600))
        await asyncio.sleep(0.05)

    run(main())
    before = descriptors(), threads()
    for _ in range(10):
        run(main())
    with Checker() as checker:
        run(abandon(checker))
    gc.collect()
    assert (descriptors(), threads()) == before


def test_a_loop_that_is_closed_with_checks_under_way_leaves_no_descriptor(silent: str, live: str) -> None:
    before = descriptors(), threads()
    with Checker() as checker:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)  # "Task was destroyed but it is pending!"
        tasks = [loop.create_task(checker.acheck(silent, 600)) for _ in range(3)]
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
        del tasks, loop
        assert asyncio.run(checker.acheck(live)).up
    gc.collect()
    assert (descriptors(), threads()) == before


def test_misuse_raises_before_anything_is_sent(run: Run, checker: Checker, live: str) -> None:
    async def main() -> None:
        started = time.monotonic()
        with pytest.raises(ValueError, match="timeout"):
            await checker.acheck(live, -1)
        with pytest.raises(TypeError, match="a target is a str"):
            await checker.acheck(None)  # type: ignore[arg-type]
        assert time.monotonic() - started < 10

    run(main())
