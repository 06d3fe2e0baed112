"""What a program passes, as the library has it; or the exception that says what cannot be."""

from __future__ import annotations

import operator
from typing import Optional

_UINT32_MAX = 0xFFFF_FFFF


def whole(name: str, value: int, most: int = _UINT32_MAX, least: int = 0) -> int:
    # ctypes would cut off what does not fit.
    if not least <= operator.index(value) <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
    return operator.index(value)


def text(name: str, value: str) -> bytes:
    if "\0" in value:
        raise ValueError(f"{name} cannot be {value!r}")
    return value.encode()


def milliseconds(seconds: Optional[float], name: str = "timeout") -> int:
    if seconds is None:
        return 0  # The checker's default.
    if not 0 < seconds <= _UINT32_MAX / 1000:
        raise ValueError(f"{name} must be more than 0 and at most {_UINT32_MAX / 1000} seconds, not {seconds}")
    return max(1, round(seconds * 1000))


def check_target(addr: str) -> None:
    if not isinstance(addr, str):
        raise TypeError(f"a target is a str, not {type(addr).__name__}")
