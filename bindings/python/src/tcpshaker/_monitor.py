"""Monitors: targets that are checked again and again, and who is told when the state of one changes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import threading
from typing import Any, AsyncIterator, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from . import _library
from ._arguments import Target, milliseconds, not_one_target, target_text, whole
from ._completion import refuse
from ._library import Handle, lib
from ._owner import Owner
from ._result import Status
from ._watch import Change, Watch, WatchInfo, change_of, watch_info_of


class Monitor(Owner["_Watches"]):
    """Checks targets again and again, and tells when the state of one changes; made by Checker.monitor.

    Iterate over it, with `for` or `async for`: the loop waits for each next change, and ends when the monitor or its
    checker is closed. A change is taken from the library only to be handed out. So a loop may be left, or its task
    cancelled, and the next one goes on where it ended. Any number of threads and event loops may iterate at once; each
    change comes to one of them.

    Use it in a `with` statement, or close() it. What raises is misuse: ValueError and TypeError for arguments that
    cannot be, such as the id of a watch that is not there, and RuntimeError for a monitor that was closed or belongs to
    the parent process.
    """

    _name = "monitor"

    def __init__(
        self, checker: Handle, max_spread: Optional[float], every_result: bool, max_down_percent: int
    ) -> None:
        super().__init__()
        spread_ms = 0 if max_spread == 0 else milliseconds(max_spread, "max_spread")
        percent = whole("max_down_percent", max_down_percent, 100)
        config = ctypes.c_void_p(lib.shaker_monitor_config_new())
        try:
            if max_spread is not None:
                lib.shaker_monitor_config_set_max_spread(config, spread_ms)
            lib.shaker_monitor_config_set_every_result(config, bool(every_result))
            lib.shaker_monitor_config_set_max_down_percent(config, percent)
            handle = Handle("monitor", checker, config)
        finally:
            lib.shaker_monitor_config_free(config)
        if handle.status in (Status.ERR_CLOSED, Status.ERR_FORKED):
            refuse(handle.status)
        fd: int = lib.shaker_monitor_fd(handle) if handle.status == 0 else -1
        if fd < 0:
            raise OSError("no descriptors or threads left for a monitor")
        self._owned = _Watches(handle, fd)

    def add(self, watch: Union[Watch, Target]) -> int:
        """Adds a watch, or of a target alone one with the defaults; returns its id, which is never used again."""
        return self.add_many([watch])[0]

    def add_many(self, watches: Iterable[Union[Watch, Target]]) -> List[int]:
        """Adds watches, all or none; returns their ids, in their order."""
        here = self._open()
        not_one_target(watches, "add_many wants an iterable of watches")
        listed = [watch if isinstance(watch, Watch) else Watch(watch) for watch in watches]
        return here.add(listed)

    def remove(self, *ids: int) -> None:
        """Removes watches. No change of theirs is handed out any more. If one of them is not there, the others go."""
        _known(self._open().remove(ids), *ids)

    def pause(self, id: int, paused: bool = True) -> None:
        """Makes no checks of a watch, or goes on with them. It keeps its state meanwhile, and can be reported."""
        _known(lib.shaker_monitor_pause(self._open().handle, _id(id), bool(paused)), id)

    def check_now(self, id: int) -> None:
        """Has a check begin at once, or if one is in flight, when that has ended. Also of a watch that is paused."""
        _known(lib.shaker_monitor_check_now(self._open().handle, _id(id)), id)

    def report(self, id: int, up: bool) -> None:
        """Tells what the program's own traffic saw of a target. It counts as one verdict."""
        _known(lib.shaker_monitor_report(self._open().handle, _id(id), bool(up)), id)

    def get(self, id: int) -> WatchInfo:
        """What is known of a watch."""
        here = self._open()
        info = _library.WatchInfo()
        _known(lib.shaker_monitor_get(here.handle, _id(id), info, ctypes.sizeof(info)), id)
        return watch_info_of(here.addr(id), info)

    @property
    def held(self) -> int:
        """How many changes to down were held back, as this process was late, or too many would have been down."""
        return int(lib.shaker_monitor_held(self._open().handle))

    def __iter__(self) -> Iterator[Change]:
        self._open()
        return self

    def __next__(self) -> Change:
        """Waits for the next change. Other threads run meanwhile, and Ctrl-C ends it."""
        while True:
            here = self._if_open()
            if here is None:
                raise StopIteration
            change = here.take()
            if change is not None:
                return change
            here.readiness.wait()

    def __aiter__(self) -> AsyncIterator[Change]:
        self._open()
        return self

    async def __anext__(self) -> Change:
        """Waits for the next change on the running event loop, without a thread."""
        while True:
            here = self._if_open()
            if here is None:
                raise StopAsyncIteration
            # Nothing is awaited from here on, so whoever is cancelled has taken no change.
            change = here.take()
            if change is not None:
                return change
            await here.readiness.wait_on_loop()

    def close(self) -> None:
        """Ends its checks, and every loop over it. Changes that wait are gone. In a forked child it only lets go."""
        here, self._owned = self._owned, None
        if here is not None and self._pid == os.getpid():
            here.readiness.end()


class _Watches:
    """What is freed when nobody holds it any more: whoever waits or calls does, and so meets nothing that is freed."""

    def __init__(self, handle: Handle, fd: int) -> None:
        self.handle = handle
        self.readiness = _Readiness(fd)
        # A signal handler may use the monitor while this very thread holds the lock.
        self._lock = threading.RLock()
        self._watched: Dict[int, Tuple[str, Any]] = {}

    def add(self, watches: List[Watch]) -> List[int]:
        natives = (_library.Watch * len(watches))(*(watch.native() for watch in watches))
        ids = (ctypes.c_uint64 * len(watches))()
        # No change of theirs is handed out before they are known here.
        with self._lock:
            status = lib.shaker_monitor_add(self.handle, natives, len(watches), ids)
            if status == Status.ERR_ADDRESS:
                which = repr(watches[0].addr) if len(watches) == 1 else f"one of {len(watches)} targets"
                raise ValueError(f"{which} is not an address: host:port was expected")
            if status == Status.ERR_LOCAL:
                raise MemoryError
            if status != 0:
                refuse(status)
            for id, watch in zip(ids, watches):
                self._watched[id] = (target_text(watch.addr), watch.user_data)
        return list(ids)

    def remove(self, ids: Iterable[int]) -> int:
        listed = [_id(id) for id in ids]
        with self._lock:
            status: int = lib.shaker_monitor_remove(self.handle, (ctypes.c_uint64 * len(listed))(*listed), len(listed))
            for id in listed:
                self._watched.pop(id, None)
        return status

    def addr(self, id: int) -> str:
        with self._lock:
            return self._watched.get(id, ("", None))[0]

    def take(self) -> Optional[Change]:
        native = _library.Change()
        with self._lock:
            if lib.shaker_monitor_reap(self.handle, native, 1, 0) == 0:
                return None
            return change_of(*self._watched.get(native.id, ("", None)), native)


class _Readiness:
    """Tells those who wait that changes wait, or that there is an end to waiting."""

    def __init__(self, fd: int) -> None:
        self._pid = os.getpid()
        # Never read: what is written makes it readable for ever.
        self._end, self._ends = os.pipe()
        self._epoll = select.epoll()
        self._epoll.register(self._end, select.EPOLLIN)
        self._epoll.register(fd, select.EPOLLIN)

    def end(self) -> None:
        os.write(self._ends, b"\0")

    def wait(self) -> None:
        poll = select.poll()
        poll.register(self._epoll.fileno(), select.POLLIN)
        poll.poll()

    async def wait_on_loop(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        # Of its own, for an event loop watches a descriptor once.
        fd = os.dup(self._epoll.fileno())
        try:
            loop.add_reader(fd, _resolve, ready)
            await ready
        finally:
            # A forked child shares the loop's epoll with its parent, who may still need the entry.
            if os.getpid() == self._pid and not loop.is_closed():
                loop.remove_reader(fd)
            os.close(fd)

    def __del__(self) -> None:
        # The constructor may have failed halfway.
        for fd in (getattr(self, "_end", -1), getattr(self, "_ends", -1)):
            if fd >= 0:
                os.close(fd)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _id(id: int) -> int:
    return whole("id", id, 0xFFFF_FFFF_FFFF_FFFF)


def _known(status: int, *ids: int) -> None:
    if status == Status.ERR_INVALID:
        raise ValueError(f"the monitor has no watch {' or '.join(map(str, ids))}")
    if status != 0:
        refuse(status)
