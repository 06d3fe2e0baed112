"""The checker: what the package is for."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import socket
import threading
import weakref
from typing import AsyncIterator, Dict, Iterable, Iterator, Optional, Sequence, Union

from ._arguments import Target, milliseconds, not_one_target, target_text, text, whole
from ._completion import Completion, no_descriptor
from ._library import Handle, Request, c_address, lib
from ._loop import LoopReader
from ._many import Many
from ._monitor import Monitor
from ._owner import Owner
from ._result import RESULT, Result, Status, result_of
from ._stats import Stats, stats_of

# check_many never runs further ahead of its caller than this, unless max_in_flight says so.
_WINDOW = 1024
# By the numbers of shaker_engine.
_ENGINES = ("socket", "raw", "auto")


class Checker(Owner[Completion]):
    """Half-open TCP checks; made to be shared by all threads and event loops of the process.

    Use it in a `with` statement, or close() it. Verdicts are values: a Result for every check. What raises is misuse:
    ValueError and TypeError for arguments that cannot be, RuntimeError for a checker that was closed or belongs to the
    parent process. Making one raises OSError if the system will not give it what it needs.
    """

    _name = "checker"

    def __init__(
        self,
        *,
        engine: str = "socket",
        syn_interval: float = 0.3,
        threads: int = 1,
        timeout: float = 1.0,
        max_in_flight: Optional[int] = None,
        max_rate: Optional[int] = None,
        max_lookups: Optional[int] = None,
        family: int = socket.AF_UNSPEC,
        source: Union[str, Sequence[str], None] = None,
        interface: Optional[str] = None,
        network_namespace: Optional[str] = None,
        mark: Optional[int] = None,
        tos: Optional[int] = None,
        zero_linger: bool = True,
        caller_driven: bool = False,
    ) -> None:
        """
        engine: what sends the segments: "socket", the kernel's TCP; "raw", the library itself, which needs CAP_NET_RAW
            and completes no handshake, whatever becomes of this process; or "auto": "raw" where this process may.
        syn_interval: seconds without an answer after which a check sends another SYN, up to four in all; 0 leaves it to
            the kernel, which sends its SYN again after a second.
        threads: how many loop threads share the checks; 0 means one per CPU.
        timeout: seconds, for checks that name none.
        max_in_flight: how many checks may be under way at once; each holds a descriptor and a local port.
            Default: half the soft limit on descriptors; with the raw engine, which holds none, 262144.
        max_rate: how many checks may start per second. Default: no limit.
        max_lookups: how many names may be looked up at once, each on a thread of the library's own. Default: 64.
        family: socket.AF_INET or socket.AF_INET6 keeps all checks to that family.
        source: the source address, or one of each family.
        interface: the interface that checks leave through.
        network_namespace: the path of the network namespace that checks leave from and names are looked up in, which
            needs CAP_SYS_ADMIN.
        mark: the firewall mark (SO_MARK) of checks that name none. It needs CAP_NET_ADMIN, or since Linux 5.17
            CAP_NET_RAW.
        tos: the type of service (IP_TOS, IPV6_TCLASS).
        zero_linger: False ends checks with FIN instead of RST, so that handshakes complete. The raw engine cannot:
            "auto" is "socket" then, and checks of "raw" are ERR_UNSUPPORTED.
        caller_driven: True makes no loop thread: the checker gets on only inside its callers' waiting, and in the event
            loop that awaits it. One that comes back later than 200 ms after an answer has let the handshake complete.
        """
        super().__init__()
        self._readers: Dict[asyncio.AbstractEventLoop, LoopReader] = {}
        self._monitors: weakref.WeakSet[Monitor] = weakref.WeakSet()

        config = ctypes.c_void_p(lib.shaker_config_new())
        try:
            if engine not in _ENGINES:
                raise ValueError(f"engine must be one of {', '.join(_ENGINES)}, not {engine!r}")
            _set(config, "engine", _ENGINES.index(engine))
            _set(config, "syn_interval", milliseconds(syn_interval, "syn_interval") if syn_interval != 0 else 0)
            _set(config, "threads", whole("threads", threads))
            _set(config, "timeout", milliseconds(timeout))
            if max_in_flight is not None:
                _set(config, "max_in_flight", whole("max_in_flight", max_in_flight))
            if max_rate is not None:
                _set(config, "max_rate", whole("max_rate", max_rate))
            if max_lookups is not None:
                _set(config, "max_lookups", whole("max_lookups", max_lookups))
            _set(config, "family", whole("family", family))
            for ip in [source] if isinstance(source, str) else source or ():
                _set(config, "source", text("source", ip))
            if interface is not None:
                _set(config, "interface", text("interface", interface))
            if network_namespace is not None:
                _set(config, "network_namespace", text("network_namespace", network_namespace))
            if mark is not None:
                _set(config, "mark", whole("mark", mark))
            if tos is not None:
                _set(config, "tos", whole("tos", tos, 0xFF))
            _set(config, "zero_linger", bool(zero_linger))
            if caller_driven:
                _set(config, "caller_driven", True)
            handle = Handle("checker", config)
        finally:
            lib.shaker_config_free(config)
        if handle.status == Status.ERR_UNSUPPORTED:
            raise PermissionError("a setting needs privileges that this process does not have")
        if handle.status == Status.ERR_LOCAL and network_namespace is not None:
            raise OSError(f"no network namespace at {network_namespace!r}, or no descriptors or threads left")
        fd: int = lib.shaker_checker_fd(handle) if handle.status == 0 else -1
        if fd < 0:
            raise OSError("no descriptors or threads left for a checker")
        self._engine = _ENGINES[lib.shaker_checker_engine(handle)]
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        needs_no_descriptors = self._engine == "raw" or soft == resource.RLIM_INFINITY
        window = max_in_flight or (_WINDOW if needs_no_descriptors else max(1, min(_WINDOW, soft // 2)))
        self._owned = Completion(handle, fd, window, max_rate or 0)

    @property
    def engine(self) -> str:
        """What sends the segments: "socket" or "raw"."""
        return self._engine

    def check(self, target: Target, timeout: Optional[float] = None, *, mark: int = 0) -> Result:
        """Checks one "host:port" or (host, port), and waits for the verdict for `timeout` seconds (the checker's, by
        default).

        mark is the firewall mark of this check (0: the checker's). Without the privilege that it needs nothing is sent,
        and the check is ERR_UNSUPPORTED with EPERM.
        """
        completion = self._open()
        timeout_ms = milliseconds(timeout)
        mark = whole("mark", mark)
        addr = target_text(target)
        if threading.current_thread() is not threading.main_thread():
            buffer = ctypes.create_string_buffer(RESULT.size)
            request = Request(addr=c_address(addr), timeout_ms=timeout_ms, mark=mark)
            lib.shaker_check(completion.handle, request, buffer)
            return result_of(addr, RESULT.unpack(buffer))
        # Only the main thread hears Ctrl-C, and not while it is inside C. So it waits in Python.
        results: Dict[int, Result] = {}
        id = completion.submit(addr, timeout_ms, mark, results.__setitem__)
        try:
            completion.wait(lambda: results)
        finally:
            completion.cancel(id)
        return results[id]

    def check_many(
        self, targets: Iterable[Target], timeout: Optional[float] = None, *, mark: int = 0
    ) -> Iterator[Result]:
        """Checks every target of an iterable, however long; yields results as they come, not in order.

        Result.addr says which is which. At most max_in_flight targets (1024 if that was not given, or half the limit
        on descriptors if that is less) are taken before their results are, so the iterable may be endless. Each
        check's time runs from its own start, and max_rate is kept; so none ends as ERR_BUSY. Leaving the loop early
        cancels what is under way. All of them bear the mark, as in check.
        """
        self._open()
        not_one_target(targets, "check_many wants an iterable of targets")
        return self._stream(Many(iter(targets), milliseconds(timeout), whole("mark", mark)))

    async def acheck(self, target: Target, timeout: Optional[float] = None, *, mark: int = 0) -> Result:
        """Checks one target on the running event loop, with a mark as in check. Cancelling the task cancels it.

        Any number may be awaited at once; but time runs from the call, and those for which there is no room in time
        (max_in_flight, max_rate) end as ERR_BUSY, which is no verdict.
        """
        completion = self._open()
        timeout_ms = milliseconds(timeout)
        mark = whole("mark", mark)
        addr = target_text(target)
        loop = asyncio.get_running_loop()
        try:
            reader = self._listen(loop, completion)
        except OSError as error:
            return no_descriptor(addr, error)
        future: asyncio.Future[Result] = loop.create_future()
        id = 0
        try:
            id = completion.submit(addr, timeout_ms, mark, lambda _, result: reader.deliver(future, result))
            return await future
        finally:
            if not future.done() or future.cancelled():
                self._cancel(id)
            self._listen_no_more(reader)

    def acheck_many(
        self, targets: Iterable[Target], timeout: Optional[float] = None, *, mark: int = 0
    ) -> AsyncIterator[Result]:
        """As check_many, but on the running event loop, and for `async for`; a target is taken without waiting.

        The loop that is left early cancels what is under way when its generator is closed: at once with
        contextlib.aclosing, else when it is collected.
        """
        self._open()
        not_one_target(targets, "acheck_many wants an iterable of targets")
        return self._astream(Many(iter(targets), milliseconds(timeout), whole("mark", mark)))

    def monitor(
        self, *, max_spread: Optional[float] = None, every_result: bool = False, max_down_percent: int = 100
    ) -> Monitor:
        """Makes a monitor of this checker, without any watch: targets that are checked again and again.

        max_spread: seconds within which the first checks of its watches are made, evenly. Default: the interval of each,
            which jitter_percent makes longer. 0 makes them at once.
        every_result: True tells every result as a change, also one that changes nothing.
        max_down_percent: how many percent of the watches may be down at once, or failing. While more would be, none
            goes down, for it is more likely that this host has lost its network.
        """
        completion = self._open()
        with completion.lock:
            monitor = Monitor(completion.handle, max_spread, every_result, max_down_percent)
            self._monitors.add(monitor)
        return monitor

    def stats(self) -> Stats:
        """Reads the counters, one by one, while checks go on."""
        return stats_of(self._open().handle)

    def close(self) -> None:
        """Closes its monitors, ends every check under way with ERR_CLOSED, and frees what the checker holds.

        Waits for names that are being looked up. In a forked child it leaves the parent's checks alone.
        """
        completion = self._owned
        if completion is None:
            return
        if self._pid == os.getpid():
            lib.shaker_checker_shutdown(completion.handle)
            # Here are all of them: no monitor is made any more.
            with completion.lock:
                monitors = list(self._monitors)
            for monitor in monitors:
                monitor.close()
            completion.wait(lambda: not completion.pending)
        self._owned = None

    def _listen(self, loop: asyncio.AbstractEventLoop, completion: Completion) -> LoopReader:
        reader = self._readers.get(loop)
        if reader is None:
            reader = self._readers[loop] = LoopReader(loop, completion.fd, self._look)
        reader.checks += 1
        return reader

    def _listen_no_more(self, reader: LoopReader) -> None:
        reader.checks -= 1
        if reader.checks == 0:
            self._readers.pop(reader.loop, None)
            reader.close()

    def _look(self) -> None:
        completion = self._owned
        if completion is not None:
            completion.look()

    def _cancel(self, id: int) -> None:
        completion = self._owned
        if completion is not None:
            completion.cancel(id)

    def _stream(self, many: Many) -> Iterator[Result]:
        try:
            # The completion is not held at a yield: a closed checker is freed when nobody holds it.
            while many.turn(self._open()):
                while many.ready:
                    yield many.ready.popleft()
        finally:
            for id in list(many.under_way):
                self._cancel(id)

    async def _astream(self, many: Many) -> AsyncIterator[Result]:
        reader = self._listen(asyncio.get_running_loop(), self._open())
        try:
            while await many.aturn(self._open(), reader):
                while many.ready:
                    yield many.ready.popleft()
        finally:
            for id in list(many.under_way):
                self._cancel(id)
            self._listen_no_more(reader)


# Not shaker_checker_default(): whatever else in this process reaps that one would take our results away.
_default: Optional[Checker] = None
_default_lock = threading.Lock()


def check(target: Target, timeout: float = 1.0, *, mark: int = 0) -> Result:
    """Checks one target with the process's own checker, and waits for the verdict for `timeout` seconds.

    The checker is made at first use, with default settings; a forked child makes its own.
    """
    global _default
    with _default_lock:
        if _default is None:
            _default = Checker()
        checker = _default
    return checker.check(target, timeout, mark=mark)


def _after_fork() -> None:
    global _default, _default_lock
    _default = None
    _default_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def _set(config: ctypes.c_void_p, name: str, value: Union[int, bytes]) -> None:
    if getattr(lib, f"shaker_config_set_{name}")(config, value) != 0:
        raise ValueError(f"{name} cannot be {value!r}")
