"""An asyncio event loop's ear on the checker's descriptor.

Each loop watches a duplicate of its own, and only while it has checks under way: so a checker may be closed in any
thread while loops in others still watch it, and a loop may end without telling the checker.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Callable, TypeVar

T = TypeVar("T")


class LoopReader:
    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, look: Callable[[], None]) -> None:
        self.loop = loop
        self.checks = 0
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        self._fd = os.dup(fd)
        loop.add_reader(self._fd, look)

    def deliver(self, future: asyncio.Future[T], result: T) -> None:
        try:
            if threading.get_ident() == self._thread:
                resolve(future, result)
            else:
                self.loop.call_soon_threadsafe(resolve, future, result)
        except RuntimeError:  # The loop is closed, and so nobody waits.
            pass

    def close(self) -> None:
        # A forked child shares the loop's epoll with its parent, who may still need the entry.
        if os.getpid() == self._pid and not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        os.close(self._fd)


def resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
