"""The C library: where it is, and its functions as ctypes sees them."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Dict

# The name says which ABI this package speaks; a library with another one has another name.
SONAME = "libtcpshaker.so.0.1"


class Request(ctypes.Structure):
    """struct shaker_request."""

    _fields_ = [
        ("addr", c_char_p),
        ("sockaddr", c_void_p),
        ("sockaddr_len", c_uint32),
        ("timeout_ms", c_uint32),
        ("flags", c_uint32),
        ("callback", c_void_p),
        ("user_data", c_void_p),
        ("mark", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class Stats(ctypes.Structure):
    """struct shaker_stats."""

    _fields_ = [
        ("submitted", c_uint64),
        ("up", c_uint64),
        ("timed_out", c_uint64),
        ("refused", c_uint64),
        ("unreachable", c_uint64),
        ("err_invalid", c_uint64),
        ("err_address", c_uint64),
        ("err_resolve", c_uint64),
        ("err_local", c_uint64),
        ("err_cancelled", c_uint64),
        ("err_closed", c_uint64),
        ("err_busy", c_uint64),
        ("err_unsupported", c_uint64),
        ("err_internal", c_uint64),
        ("in_flight", c_uint64),
        ("queued", c_uint64),
        ("completed_handshakes", c_uint64),
        ("sockets", c_uint64),
        ("unsolicited", c_uint64),
    ]


class Watch(ctypes.Structure):
    """struct shaker_watch."""

    _fields_ = [
        ("addr", c_char_p),
        ("sockaddr", c_void_p),
        ("sockaddr_len", c_uint32),
        ("flags", c_uint32),
        ("mark", c_uint32),
        ("timeout_ms", c_uint32),
        ("interval_ms", c_uint32),
        ("falling_ms", c_uint32),
        ("rising_ms", c_uint32),
        ("down_ms", c_uint32),
        ("fall", c_uint32),
        ("rise", c_uint32),
        ("first_fall", c_uint32),
        ("first_rise", c_uint32),
        ("jitter_percent", c_uint32),
        ("initial", c_int32),
        ("user_data", c_void_p),
        ("reserved", c_uint64 * 4),
    ]


# struct shaker_result, whose fields _result.RESULT unpacks.
_Result = c_uint64 * 10


class Change(ctypes.Structure):
    """struct shaker_change."""

    _fields_ = [
        ("id", c_uint64),
        ("user_data", c_void_p),
        ("from_", c_int32),
        ("to", c_int32),
        ("run", c_uint32),
        ("flags", c_uint32),
        ("at_us", c_uint64),
        ("last", _Result),
        ("reserved", c_uint64 * 2),
    ]


class WatchInfo(ctypes.Structure):
    """struct shaker_watch_info."""

    _fields_ = [
        ("state", c_int32),
        ("run", c_uint32),
        ("since_us", c_uint64),
        ("next_us", c_uint64),
        ("checks", c_uint64),
        ("up", c_uint64),
        ("down", c_uint64),
        ("no_verdict", c_uint64),
        ("changes", c_uint64),
        ("rtt_us", c_uint32),
        ("rtt_smoothed_us", c_uint32),
        ("rtt_variation_us", c_uint32),
        ("paused", c_uint32),
        ("last", _Result),
    ]


def _load() -> ctypes.CDLL:
    inside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib", SONAME)
    # Whoever names a library means it, and a wheel's own library was built for this package; the system's comes last.
    name = os.environ.get("TCPSHAKER_LIBRARY") or (inside if os.path.exists(inside) else SONAME)
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise ImportError(
            f"tcpshaker needs {SONAME}: {error}. This installation carries none that works; "
            "install the library, or name it in TCPSHAKER_LIBRARY"
        ) from error


lib = _load()

_PROTOTYPES: Dict[str, Any] = {
    "shaker_version": (c_char_p, []),
    "shaker_status_name": (c_char_p, [c_int32]),
    "shaker_result_describe": (c_size_t, [c_char_p, c_char_p, c_char_p, c_size_t]),
    "shaker_result_error_str": (c_size_t, [c_char_p, c_char_p, c_size_t]),
    "shaker_config_new": (c_void_p, []),
    "shaker_config_free": (None, [c_void_p]),
    "shaker_config_set_engine": (c_int32, [c_void_p, c_int32]),
    "shaker_config_set_syn_interval": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_threads": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_timeout": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_max_in_flight": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_max_rate": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_max_lookups": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_caller_driven": (c_int32, [c_void_p, c_bool]),
    "shaker_config_set_family": (c_int32, [c_void_p, c_int]),
    "shaker_config_set_zero_linger": (c_int32, [c_void_p, c_bool]),
    "shaker_config_set_source": (c_int32, [c_void_p, c_char_p]),
    "shaker_config_set_interface": (c_int32, [c_void_p, c_char_p]),
    "shaker_config_set_network_namespace": (c_int32, [c_void_p, c_char_p]),
    "shaker_config_set_mark": (c_int32, [c_void_p, c_uint32]),
    "shaker_config_set_tos": (c_int32, [c_void_p, c_uint8]),
    "shaker_checker_new": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "shaker_checker_shutdown": (None, [c_void_p]),
    "shaker_checker_free": (c_int32, [c_void_p]),
    "shaker_checker_engine": (c_int32, [c_void_p]),
    "shaker_checker_fd": (c_int, [c_void_p]),
    "shaker_checker_stats": (c_int32, [c_void_p, POINTER(Stats), c_size_t]),
    "shaker_check": (c_int32, [c_void_p, POINTER(Request), c_void_p]),
    "shaker_submit": (c_int32, [c_void_p, POINTER(Request), c_size_t, POINTER(c_uint64)]),
    "shaker_reap": (c_size_t, [c_void_p, c_void_p, c_size_t, c_uint32]),
    "shaker_cancel": (c_int32, [c_void_p, c_uint64]),
    "shaker_monitor_config_new": (c_void_p, []),
    "shaker_monitor_config_free": (None, [c_void_p]),
    "shaker_monitor_config_set_max_spread": (c_int32, [c_void_p, c_uint32]),
    "shaker_monitor_config_set_every_result": (c_int32, [c_void_p, c_bool]),
    "shaker_monitor_config_set_max_down_percent": (c_int32, [c_void_p, c_uint32]),
    "shaker_monitor_new": (c_int32, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "shaker_monitor_free": (c_int32, [c_void_p]),
    "shaker_monitor_add": (c_int32, [c_void_p, POINTER(Watch), c_size_t, POINTER(c_uint64)]),
    "shaker_monitor_remove": (c_int32, [c_void_p, POINTER(c_uint64), c_size_t]),
    "shaker_monitor_pause": (c_int32, [c_void_p, c_uint64, c_bool]),
    "shaker_monitor_check_now": (c_int32, [c_void_p, c_uint64]),
    "shaker_monitor_report": (c_int32, [c_void_p, c_uint64, c_bool]),
    "shaker_monitor_get": (c_int32, [c_void_p, c_uint64, POINTER(WatchInfo), c_size_t]),
    "shaker_monitor_reap": (c_size_t, [c_void_p, POINTER(Change), c_size_t, c_uint32]),
    "shaker_monitor_fd": (c_int, [c_void_p]),
    "shaker_monitor_held": (c_uint64, [c_void_p]),
}
for _name, (_result, _arguments) in _PROTOTYPES.items():
    _function = getattr(lib, _name)
    _function.restype = _result
    _function.argtypes = _arguments

library_version: str = lib.shaker_version().decode()
if not library_version.startswith("0.1."):
    raise ImportError(f"tcpshaker needs version 0.1 of its library, and found {library_version}")


class Handle:
    """A shaker_checker or shaker_monitor, freed when nobody holds it any more: a call under way does, so none meets a
    freed one, and a monitor holds its checker."""

    def __init__(self, kind: str, *arguments: object) -> None:
        self._as_parameter_ = c_void_p()
        self._free = getattr(lib, f"shaker_{kind}_free")
        self._held = arguments
        self.status: int = getattr(lib, f"shaker_{kind}_new")(*arguments, byref(self._as_parameter_))

    def __del__(self) -> None:
        # What is collected together with this, in a cycle, may still call the library: with NULL, which it refuses.
        handle, self._as_parameter_ = self._as_parameter_, c_void_p()
        # The end of the process ends the threads too. Freeing would wait for names being looked up.
        if not sys.is_finalizing():
            self._free(handle)


def c_address(addr: str) -> bytes:
    """The text for C. What C cannot be told of, such as a NUL within, is no address; nor is the empty text."""
    if "\0" in addr:
        return b""
    try:
        return addr.encode()
    except UnicodeEncodeError:
        return b""
