"""What is watched, and what becomes of it, as values."""

from __future__ import annotations

import ctypes
import enum
import socket
from dataclasses import dataclass
from typing import Any, Dict, Optional

from . import _library
from ._arguments import Target, milliseconds, target_text, whole
from ._library import c_address
from ._result import RESULT, Result, result_of

# SHAKER_IPV4 and SHAKER_IPV6.
_FLAGS: Dict[int, int] = {socket.AF_UNSPEC: 0, socket.AF_INET: 4, socket.AF_INET6: 8}
# SHAKER_CHANGE_REPORTED and SHAKER_CHANGE_SKIPPED.
_REPORTED = 1
_SKIPPED = 2


class State(enum.IntEnum):
    """What a monitor holds to be true of a target."""

    #: Too few verdicts yet.
    UNKNOWN = 0
    #: It answers.
    UP = 1
    #: It does not: it refuses, is silent, or cannot be reached.
    DOWN = 2


@dataclass(frozen=True)
class Watch:
    """A target to be checked again and again. The defaults are HAProxy's; times are in seconds."""

    #: "host:port" or (host, port). A name is looked up anew for the first check, for one after a check that was not
    #: up or a failure that was reported, and for one that was asked for. Any other check takes the latest answer that
    #: was kept, if that is no older than nine tenths of the interval, and than 30 seconds. A name that does not
    #: resolve is no verdict.
    addr: Target
    #: For one check, the lookup of a name included; None: the checker's.
    timeout: Optional[float] = None
    #: From a verdict to the start of the next check, while up and well.
    interval: float = 2.0
    #: The same while up, after a failure that was not the last straw; None: interval.
    falling: Optional[float] = None
    #: The same while down or unknown, after a success that was not yet enough; None: interval.
    rising: Optional[float] = None
    #: The same while down; None: interval.
    down: Optional[float] = None
    #: How many failures in a row take it down, and how many successes bring it up.
    fall: int = 3
    rise: int = 2
    #: The same for the first verdicts of all.
    first_fall: int = 1
    first_rise: int = 1
    #: Each interval is longer or shorter by up to so many percent, by chance; at most 50.
    jitter_percent: int = 0
    #: What holds before the first verdict.
    initial: State = State.UNKNOWN
    #: socket.AF_INET or socket.AF_INET6 keeps its checks to that family.
    family: int = socket.AF_UNSPEC
    #: The firewall mark of its checks; 0: the checker's.
    mark: int = 0
    #: Comes back in each change.
    user_data: Any = None

    def native(self) -> _library.Watch:
        """As the library has it, or the exception that names what cannot be."""
        if self.family not in _FLAGS:
            raise ValueError(f"family cannot be {self.family!r}")
        return _library.Watch(
            addr=c_address(target_text(self.addr)),
            flags=_FLAGS[self.family],
            mark=whole("mark", self.mark),
            timeout_ms=milliseconds(self.timeout),
            interval_ms=milliseconds(self.interval, "interval"),
            falling_ms=milliseconds(self.falling, "falling"),
            rising_ms=milliseconds(self.rising, "rising"),
            down_ms=milliseconds(self.down, "down"),
            fall=whole("fall", self.fall, least=1),
            rise=whole("rise", self.rise, least=1),
            first_fall=whole("first_fall", self.first_fall, least=1),
            first_rise=whole("first_rise", self.first_rise, least=1),
            jitter_percent=whole("jitter_percent", self.jitter_percent, 50),
            initial=State(self.initial),
        )


@dataclass(frozen=True)
class Change:
    """The state of a watch has changed; or where every result is asked for, a check of it has ended."""

    #: The watch's, from Monitor.add.
    id: int
    #: The watch's own; the target as text.
    addr: str
    user_data: Any
    #: The state before, and after; the same only where every result is asked for.
    before: State
    after: State
    #: How many verdicts in a row led here.
    run: int
    #: When, as time.monotonic() tells it.
    at: float
    #: What the latest check learned. Before the first it is ERR_BUSY: its turn has not come.
    last: Result
    #: Monitor.report led to it, not a check.
    reported: bool = False
    #: Changes of this watch before this one came faster than they were read, and are gone.
    skipped: bool = False


@dataclass(frozen=True)
class WatchInfo:
    """What a monitor knows of a watch. Times are in seconds, points in time as time.monotonic() tells them."""

    state: State
    #: How many verdicts in a row agree with the latest.
    run: int
    #: Since when it has been in this state.
    since: float
    #: When the next check begins; None while one is in flight, or none is to be made.
    next: Optional[float]
    #: Checks that ended; verdicts, those of Monitor.report included; checks without one; changes of the state.
    checks: int
    up: int
    down: int
    no_verdict: int
    changes: int
    #: The latest round trip, and what RFC 6298 makes of all: smoothed, and how much they vary. None before the first.
    rtt: Optional[float]
    rtt_smoothed: Optional[float]
    rtt_variation: Optional[float]
    paused: bool
    #: What the latest check learned, as in Change.
    last: Result


def change_of(addr: str, user_data: Any, native: _library.Change) -> Change:
    return Change(
        native.id,
        addr,
        user_data,
        State(native.from_),
        State(native.to),
        native.run,
        native.at_us / 1e6,
        _last(addr, native),
        native.flags & _REPORTED != 0,
        native.flags & _SKIPPED != 0,
    )


def watch_info_of(addr: str, native: _library.WatchInfo) -> WatchInfo:
    has_rtt = native.rtt_us != 0
    return WatchInfo(
        State(native.state),
        native.run,
        native.since_us / 1e6,
        native.next_us / 1e6 or None,
        native.checks,
        native.up,
        native.down,
        native.no_verdict,
        native.changes,
        native.rtt_us / 1e6 if has_rtt else None,
        native.rtt_smoothed_us / 1e6 if has_rtt else None,
        native.rtt_variation_us / 1e6 if has_rtt else None,
        native.paused != 0,
        _last(addr, native),
    )


def _last(addr: str, native: ctypes.Structure) -> Result:
    return result_of(addr, RESULT.unpack(native.last))
