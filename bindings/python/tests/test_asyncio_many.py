"""acheck_many: a stream on the running event loop, as lazy and as bounded as the blocking one."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
from collections import Counter
from typing import AsyncIterator, Iterator, List

import pytest
from conftest import Listener, Run, descriptors, threads

from tcpshaker import Checker, Result, Status


def test_every_target_yields_one_result_that_names_it(
    run: Run, checker: Checker, listener: Listener, dead: str
) -> None:
    async def main() -> "Counter[object]":
        targets = [listener.addr, "nonsense", dead, listener.socket.getsockname()] * 300
        return Counter([(result.addr, result.status) async for result in checker.acheck_many(targets, 60)])

    ok, refused, malformed = (listener.addr, Status.OK), (dead, Status.REFUSED), ("nonsense", Status.ERR_ADDRESS)
    assert run(main()) == {ok: 600, refused: 300, malformed: 300}
    assert not listener.was_accepted()


def test_no_targets_yield_no_results(run: Run, checker: Checker) -> None:
    async def main() -> List[Result]:
        return [result async for result in checker.acheck_many([])]

    assert run(main()) == []


def test_an_endless_iterable_is_taken_no_further_than_its_results_and_leaving_cancels(
    run: Run, live: str, silent: str
) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for addr in itertools.chain([live] * 500, itertools.repeat(silent)):
            taken += 1
            yield addr

    async def main() -> None:
        with Checker(max_in_flight=10) as checker:
            stream = checker.acheck_many(endless(), 600)
            yielded = 0
            async for result in stream:
                yielded += 1
                assert result.up and taken <= yielded + 20
                if yielded == 500:
                    break
            await stream.aclose()  # type: ignore[attr-defined]
            # The places are free again.
            assert (await checker.acheck(live, 60)).up

    run(main())


def test_a_silent_target_keeps_neither_the_stream_nor_the_event_loop_waiting(
    run: Run, checker: Checker, live: str, silent: str
) -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        results = [result async for result in checker.acheck_many([silent] + [live] * 500, 0.5)]
        ticking.cancel()
        assert [result.status for result in results[-1:]] == [Status.TIMEOUT]
        assert all(result.up for result in results[:-1]) and len(results) == 501 and ticks > 10

    run(main())


def test_checks_that_wait_for_room_keep_their_whole_time_though_others_take_it(
    run: Run, silent: str, live: str
) -> None:
    async def main() -> "Counter[Status]":
        with Checker(max_in_flight=2) as checker:
            other = asyncio.ensure_future(checker.acheck(silent, 0.3))
            statuses = Counter(
                [result.status async for result in checker.acheck_many([silent] * 3 + [live] * 20, timeout=0.2)]
            )
            assert (await other).status == Status.TIMEOUT
            return statuses

    assert run(main()) == {Status.TIMEOUT: 3, Status.OK: 20}


def test_a_rate_is_kept_and_makes_nobody_busy(run: Run, live: str) -> None:
    async def main() -> List[Result]:
        with Checker(max_rate=100) as checker:
            return [result async for result in checker.acheck_many([live] * 60, 30)]

    started = time.monotonic()
    assert all(result.up for result in run(main()))
    assert time.monotonic() - started > 0.4


def test_results_that_other_threads_reap_come_through(run: Run, checker: Checker, live: str, dead: str) -> None:
    over = threading.Event()

    async def main() -> None:
        for _ in range(5):
            statuses = Counter([result.status async for result in checker.acheck_many([live, dead] * 50, 60)])
            assert statuses == {Status.OK: 50, Status.REFUSED: 50}

    def busy() -> None:
        while not over.is_set():
            assert all(result.up for result in checker.check_many([live] * 20, 60))

    other = threading.Thread(target=busy)
    other.start()
    try:
        run(main())
    finally:
        over.set()
        other.join()


def test_closing_ends_the_stream(run: Run, silent: str, live: str) -> None:
    async def main() -> None:
        checker = Checker()
        stream = checker.acheck_many([live, silent, silent], 600)
        assert (await stream.__anext__()).up
        asyncio.get_running_loop().call_later(0.05, checker.close)
        assert [result.status async for result in _rest(stream)] == [Status.ERR_CLOSED] * 2
        with pytest.raises(RuntimeError, match="closed"):
            checker.acheck_many([live])

    run(main())


async def _rest(stream: AsyncIterator[Result]) -> AsyncIterator[Result]:
    try:
        async for result in stream:
            yield result
    except RuntimeError as error:
        assert "closed" in str(error)


def test_misuse_raises_at_once(run: Run, checker: Checker, live: str) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="iterable of targets"):
            checker.acheck_many(live)
        with pytest.raises(ValueError, match="timeout"):
            checker.acheck_many([live], 0)
        with pytest.raises(TypeError, match="a target is a str"):
            [result async for result in checker.acheck_many([live, None])]  # type: ignore[list-item]

    run(main())


def test_streams_leave_no_descriptor_and_no_thread(run: Run, live: str, silent: str) -> None:
    async def main() -> None:
        with Checker() as checker:
            async for _ in checker.acheck_many([live, silent, silent], 600):
                break

    run(main())
    gc.collect()
    before = descriptors(), threads()
    for _ in range(5):
        run(main())
    gc.collect()
    assert (descriptors(), threads()) == before
