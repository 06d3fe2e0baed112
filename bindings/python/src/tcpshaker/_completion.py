"""Submitted checks, and the way of each result to whoever waits for it.

The library has one queue of results for a checker, and whoever reaps takes what is there, whosever it is: so results
are handed out by id, under one lock.

Ctrl-C may end any of this between two steps of the interpreter, in the main thread. So the lock is one that `with`
takes and leaves in one step each (a Condition does not), and no thread waits for another to do its part.
"""

from __future__ import annotations

import ctypes
import math
import select
import threading
import time
from typing import Callable, Dict, NoReturn, Tuple

from ._library import Handle, Request, c_address, lib
from ._result import RESULT, Result, Status, result_of

Deliver = Callable[[int, Result], None]

_BATCH = 64
# The library lets as much start at once after a pause, in seconds' worth of max_rate.
_BURST = 0.01
# When another thread took a result away, poll(2) does not tell; so a waiting thread asks again after so long.
_AGAIN = 0.02


class Completion:
    def __init__(self, handle: Handle, fd: int, window: int, rate: int) -> None:
        self.handle = handle
        self.fd = fd
        #: When max_rate allows the next start, by time.monotonic().
        self.next_start = 0.0
        self._rate = rate
        self._window = window
        #: Checks whose results were not handed out yet, by id.
        self.pending: Dict[int, Tuple[str, Deliver]] = {}
        # A signal handler may use the checker while this very thread holds the lock.
        self.lock = threading.RLock()
        self._reaped = ctypes.create_string_buffer(_BATCH * RESULT.size)

    def has_room(self) -> bool:
        """Whether a check submitted now would start at once, so that its whole time is its own."""
        return len(self.pending) < self._window and (not self._rate or self.next_start <= time.monotonic())

    def submit(self, addr: str, timeout_ms: int, mark: int, deliver: Deliver) -> int:
        request = Request(addr=c_address(addr), timeout_ms=timeout_ms, mark=mark)
        id = ctypes.c_uint64()
        # A result may be there before shaker_submit returns, but nobody hands it out before the lock is free.
        with self.lock:
            status = lib.shaker_submit(self.handle, request, 1, id)
            if status != 0:
                refuse(status)
            self.pending[id.value] = (addr, deliver)
            if self._rate:
                self.next_start = max(self.next_start, time.monotonic() - _BURST) + 1 / self._rate
        return id.value

    def cancel(self, id: int) -> None:
        """Nobody waits for this check any more."""
        if self.pending.pop(id, None) is not None:
            lib.shaker_cancel(self.handle, id)

    def look(self) -> None:
        """Hands out what is there."""
        with self.lock:
            self._reap()

    def wait(self, done: Callable[[], object], until: float = math.inf) -> None:
        """Waits until done(), or until time.monotonic() says so."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while not done():
            left = until - time.monotonic()
            if left <= 0:
                return
            poll.poll(math.ceil(min(left, _AGAIN) * 1000))
            self.look()

    def _reap(self) -> None:
        # The buffer is emptied after its results were handed out. If Ctrl-C ends this halfway, the next call goes on,
        # and the one result at which it was ended may be delivered twice.
        while True:
            for fields in RESULT.iter_unpack(self._reaped):
                id = fields[0]
                if id == 0:
                    break
                waiting = self.pending.get(id)
                if waiting is not None:
                    addr, deliver = waiting
                    deliver(id, result_of(addr, fields))
                    self.pending.pop(id, None)
            ctypes.memset(self._reaped, 0, len(self._reaped))
            if lib.shaker_reap(self.handle, self._reaped, _BATCH, 0) == 0:
                return


def refuse(status: int, what: str = "checker") -> NoReturn:
    """A checker that takes no checks is misused."""
    if status == Status.ERR_CLOSED:
        raise RuntimeError(f"the {what} is closed")
    if status == Status.ERR_FORKED:
        raise RuntimeError(f"the {what} belongs to the parent process: make one after the fork")
    raise RuntimeError(f"{Status(status)!r}: a defect of tcpshaker")


def no_descriptor(addr: str, error: OSError) -> Result:
    return Result(addr, Status.ERR_LOCAL, os_error=error.errno or 0)
