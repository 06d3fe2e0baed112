"""Watches that do what a test has them do."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable, List

from tcpshaker import Change, Monitor, State, Watch


# The first check is somewhere in the interval, unless max_spread says otherwise. Of an hour it would be made while the
# test runs for one watch in a thousand.
MONTHS = 4_000_000


def once(addr: str, **settings: Any) -> Watch:
    """Checked at once with max_spread=0, and else never; what happens to it then, the test brings about."""
    return Watch(addr, timeout=60, interval=MONTHS, **settings)


def bring(monitor: Monitor, id: int, state: State) -> None:
    """Reports a state until the watch has changed for it."""
    for _ in range(10):
        if monitor.get(id).state == state:
            return
        monitor.report(id, state == State.UP)
    raise AssertionError(f"no report makes it {state!r}")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def waiting(monitor: Monitor, seconds: float = 0.05) -> List[Change]:
    """What waits, or comes meanwhile."""
    seen: List[Change] = []

    async def main() -> None:
        async for change in monitor:
            seen.append(change)

    try:
        asyncio.run(asyncio.wait_for(main(), seconds))
    except asyncio.TimeoutError:
        pass
    return seen
