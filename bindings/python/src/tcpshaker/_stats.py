"""What a checker has done."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields

from . import _library
from ._library import Handle, lib


@dataclass(frozen=True)
class Stats:
    """What a checker has done since it was made, and what it is doing."""

    #: Checks accepted, blocking ones included.
    submitted: int
    #: Results, by their status.
    up: int
    timed_out: int
    refused: int
    unreachable: int
    err_invalid: int
    err_address: int
    err_resolve: int
    err_local: int
    err_cancelled: int
    err_closed: int
    err_busy: int
    err_unsupported: int
    err_internal: int
    #: Checks in flight now, and checks that wait now, for their turn or for their name.
    in_flight: int
    queued: int
    #: Half-open checks whose target was up but whose last ACK the kernel sent of its own accord, or may have.
    completed_handshakes: int
    #: Sockets held now, idle ones included.
    sockets: int
    #: Segments that came to the ports of a raw engine and answered no check.
    unsolicited: int


def stats_of(checker: Handle) -> Stats:
    native = _library.Stats()
    lib.shaker_checker_stats(checker, native, ctypes.sizeof(native))
    return Stats(*(getattr(native, field.name) for field in fields(Stats)))
