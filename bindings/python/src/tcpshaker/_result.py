"""What a check learned, as a value."""

from __future__ import annotations

import ctypes
import enum
import socket
import struct
from dataclasses import dataclass
from typing import Optional, Tuple, Type

from ._arguments import Address
from ._library import c_address, lib


class Status(enum.IntEnum):
    """The answer to a check. 0: up. Positive: down, and how. Negative: no verdict, so nobody may mark it down.

    A library newer than this package may know more of them. Such a number is a Status too, under the library's name for
    it (UNKNOWN, if that has none); go by its sign.
    """

    #: SYN-ACK came back.
    OK = 0
    #: No answer before the deadline.
    TIMEOUT = 1
    #: RST came back.
    REFUSED = 2
    #: No way there.
    UNREACHABLE = 3
    #: Bad argument.
    ERR_INVALID = -1
    #: Not an address: "host:port" was expected.
    ERR_ADDRESS = -2
    #: The name could not be resolved, or not before the deadline; os_error is getaddrinfo's EAI code.
    ERR_RESOLVE = -3
    #: This machine could not make the check; os_error is the errno.
    ERR_LOCAL = -4
    #: Cancelled.
    ERR_CANCELLED = -5
    #: The checker was closed.
    ERR_CLOSED = -6
    #: The checker belongs to the parent process.
    ERR_FORKED = -7
    #: A blocking call made where it may not block.
    ERR_DEADLOCK = -8
    #: The deadline passed while the check still waited for its turn.
    ERR_BUSY = -9
    #: Not on this platform, or not with these privileges.
    ERR_UNSUPPORTED = -10
    #: A defect of the library.
    ERR_INTERNAL = -11

    @classmethod
    def _missing_(cls, value: object) -> Optional[Status]:
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = lib.shaker_status_name(value).decode()[len("SHAKER_") :]
        unknown._value_ = value
        return unknown

    def __reduce_ex__(self, protocol: object) -> Tuple[Type[Status], Tuple[int]]:
        # By number: some versions of Python pickle by name, and an unknown one has none.
        return Status, (int(self),)


@dataclass(frozen=True)
class Result:
    """What one check learned.

    It has no truth value, for there are three answers and not two: ask for up, for down, or for neither.
    """

    #: The target: the text that was given, or "host:port".
    addr: str
    #: Up, down, or why there is no verdict.
    status: Status
    #: The errno behind the status (with ERR_RESOLVE, the EAI code); 0 if there is none.
    os_error: int = 0
    #: Seconds from SYN to SYN-ACK, as the kernel measured them; None unless up.
    rtt: Optional[float] = None
    #: Seconds from the question to the verdict.
    elapsed: float = 0.0
    #: SYNs that the kernel sent again; rtt means little when this is not 0.
    syn_retransmits: int = 0
    #: Proven on this very check that the kernel sent no ACK until the answer was seen (SHAKER_HALF_OPEN in tcpshaker.h).
    half_open: bool = False
    #: The socket address that the verdict is about, as the socket module writes it; None if none was tried.
    address: Optional[Address] = None
    #: The SYN-ACK offered a window of 0, as SYN proxies do. The raw engine alone sees it.
    zero_window: bool = False

    @property
    def up(self) -> bool:
        """A SYN-ACK came back."""
        return self.status == 0

    @property
    def down(self) -> bool:
        """The target is down. Not the same as `not up`: without a verdict both are False."""
        return self.status > 0

    @property
    def error(self) -> str:
        """What os_error means, in the system's words; empty if it is 0."""
        text = ctypes.create_string_buffer(256)
        lib.shaker_result_error_str(self._native(), text, len(text))
        return text.value.decode(errors="replace")

    @property
    def message(self) -> str:
        """All of it as one line of English: "example.com:443: 192.0.2.7:443 refused after 0.210 ms (...)"."""
        native, addr = self._native(), c_address(self.addr)
        text = ctypes.create_string_buffer(1 + lib.shaker_result_describe(native, addr, None, 0))
        lib.shaker_result_describe(native, addr, text, len(text))
        return text.value.decode(errors="replace")

    def _native(self) -> bytes:
        """As the library has it."""
        rtt_us, elapsed_us = round((self.rtt or 0) * 1e6), round(self.elapsed * 1e6)
        flags = _HALF_OPEN * self.half_open | _ZERO_WINDOW * self.zero_window
        sockaddr = _sockaddr_of(self.address)
        return RESULT.pack(
            0, 0, self.status, self.os_error, rtt_us, self.syn_retransmits, elapsed_us, flags, sockaddr, 0
        )

    def __bool__(self) -> bool:
        raise TypeError("a Result is up, down, or no verdict: use result.up or result.down")


# struct shaker_result: id, user_data, status, os_error, rtt_us, syn_retransmits, elapsed_us, flags, address, reserved.
RESULT = struct.Struct("@QPiiIIQI28sQ")
_HALF_OPEN = 1
_ZERO_WINDOW = 2
_FAMILY = struct.Struct("@H")
_IPV4 = struct.Struct("!2xH4s")
_IPV6 = struct.Struct("!2xHI16s")
_SCOPE = struct.Struct("@24xI")

#: id, user_data, status, os_error, rtt_us, syn_retransmits, elapsed_us, flags, address, reserved.
Fields = Tuple[int, int, int, int, int, int, int, int, bytes, int]


def result_of(addr: str, fields: Fields) -> Result:
    _, _, number, os_error, rtt_us, syn_retransmits, elapsed_us, flags, sockaddr, _ = fields
    return Result(
        addr,
        Status(number),
        os_error,
        rtt_us / 1e6 if number == 0 else None,
        elapsed_us / 1e6,
        syn_retransmits,
        flags & _HALF_OPEN != 0,
        _address_of(sockaddr),
        flags & _ZERO_WINDOW != 0,
    )


def _address_of(sockaddr: bytes) -> Optional[Address]:
    (family,) = _FAMILY.unpack_from(sockaddr)
    if family == socket.AF_INET:
        port, ip = _IPV4.unpack_from(sockaddr)
        return socket.inet_ntop(socket.AF_INET, ip), port
    if family == socket.AF_INET6:
        port, flowinfo, ip = _IPV6.unpack_from(sockaddr)
        return socket.inet_ntop(socket.AF_INET6, ip), port, flowinfo, _SCOPE.unpack_from(sockaddr)[0]
    return None


def _sockaddr_of(address: Optional[Address]) -> bytes:
    if address is None:
        return b""
    if len(address) == 2:
        ip, port = address
        return _FAMILY.pack(socket.AF_INET) + _IPV4.pack(port, socket.inet_pton(socket.AF_INET, ip))[2:]
    ip, port, flowinfo, scope = address
    packed = _IPV6.pack(port, flowinfo, socket.inet_pton(socket.AF_INET6, ip))
    return _FAMILY.pack(socket.AF_INET6) + packed[2:] + _SCOPE.pack(scope)[24:]
