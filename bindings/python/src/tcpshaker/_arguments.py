"""What a program passes, as the library has it; or the exception that says what cannot be."""

from __future__ import annotations

import operator
from typing import Optional, Tuple, Union

#: A socket address, as the socket module writes it.
Address = Union[Tuple[str, int], Tuple[str, int, int, int]]
#: What can be checked: "host:port", or a socket address, whose host may be a name.
Target = Union[str, Address]

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


def target_text(target: Target) -> str:
    """A target as "host:port". Whether it is an address is for the library to say."""
    if isinstance(target, str):
        return target
    if not is_socket_address(target):
        raise TypeError(f"a target is a str or a (host, port), not {target!r}")
    host, port, *more = target
    if len(more) == 2 and more[1] != 0 and "%" not in host:
        host = f"{host}%{more[1]}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_socket_address(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) not in (2, 4):
        return False
    return isinstance(value[0], str) and all(isinstance(number, int) for number in value[1:])


def not_one_target(values: object, what: str) -> None:
    """What is to be a list of targets must not be one."""
    if isinstance(values, str) or is_socket_address(values):
        raise TypeError(f"{what}, not one")
