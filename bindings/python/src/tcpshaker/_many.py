"""A stream of checks: as many under way as there is room for, and no target taken before there is."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import Callable, Deque, Iterator, Set

from ._arguments import Target, target_text
from ._completion import Completion
from ._loop import LoopReader, resolve
from ._result import Result, Status

# Results are looked for this often while there is room for more checks. Each look costs about as much as a check.
_LOOK = 0.001
# Whether others have left room is asked again after so long.
_AGAIN = 0.02


class Many:
    def __init__(self, targets: Iterator[Target], timeout_ms: int, mark: int) -> None:
        self.ready: Deque[Result] = deque()
        self.under_way: Set[int] = set()
        #: Called, by any thread, when a check has ended.
        self.changed: Callable[[], None] = lambda: None
        self._targets = targets
        self._timeout_ms = timeout_ms
        self._mark = mark
        self._exhausted = False
        # Targets that were taken and are not under way.
        self._waiting: Deque[str] = deque()
        self._next_look = 0.0

    def turn(self, completion: Completion) -> bool:
        """Starts one more check, or waits until that can be done or a result is ready. False: that was all."""
        now = time.monotonic()
        if not self._start(completion):
            if self._is_over():
                return False
            completion.wait(
                lambda: self.ready or (self._waiting and completion.has_room()),
                completion.next_start if completion.next_start > now else math.inf,
            )
        if now >= self._next_look:
            completion.look()
            self._next_look = now + _LOOK
        return True

    async def aturn(self, completion: Completion, reader: LoopReader) -> bool:
        """The same on the event loop of this reader."""
        now = time.monotonic()
        if self._start(completion):
            if now >= self._next_look:
                completion.look()
                self._next_look = now + _LOOK
                await asyncio.sleep(0)
            return True
        if self._is_over():
            return False
        changed: asyncio.Future[None] = reader.loop.create_future()
        self.changed = lambda: reader.deliver(changed, None)
        if self.ready:
            return True
        # Nobody tells when there is room again. But while a check of its own is under way, its result will do.
        left = completion.next_start - now if completion.next_start > now else _AGAIN
        again = reader.loop.call_later(left, resolve, changed, None) if self._waiting else None
        try:
            await changed
        finally:
            if again is not None:
                again.cancel()
        return True

    def _take(self) -> None:
        for target in self._targets:
            self._waiting.append(target_text(target))
            return
        self._exhausted = True

    def _start(self, completion: Completion) -> bool:
        """Starts one more check, if there is one and there is room."""
        if not self._waiting and not self._exhausted:
            self._take()
        if not self._waiting or not completion.has_room():
            return False
        with completion.lock:
            id = completion.submit(self._waiting[0], self._timeout_ms, self._mark, self._deliver)
            self.under_way.add(id)
        self._waiting.popleft()
        return True

    def _is_over(self) -> bool:
        # In this order: another thread that reaps has a result ready before it takes the check from those under way.
        return not self._waiting and not self.under_way and not self.ready

    def _deliver(self, id: int, result: Result) -> None:
        if id not in self.under_way:
            return  # Delivered before.
        # Others use the checker too, and its turn did not come in time. Nothing was sent: it is asked again.
        if result.status == Status.ERR_BUSY:
            self._waiting.append(result.addr)
        else:
            self.ready.append(result)
        self.under_way.remove(id)
        self.changed()
