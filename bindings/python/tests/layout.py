"""Prints the structs' layout as this package has it, to be compared with C's."""

from __future__ import annotations

import ctypes
import struct

from tcpshaker._library import Request
from tcpshaker._result import RESULT

RESULT_FIELDS = "id user_data status os_error rtt_us syn_retransmits elapsed_us flags address reserved".split()

print("shaker_request", ctypes.sizeof(Request))
for name, *_ in Request._fields_:
    print(f"shaker_request.{name}", getattr(Request, name).offset)

print("shaker_result", RESULT.size)
order, formats = RESULT.format[0], RESULT.format[1:].replace("28s", "s")
for index, name in enumerate(RESULT_FIELDS):
    codes = [code.replace("s", "28s") for code in formats[: index + 1]]
    print(f"shaker_result.{name}", struct.calcsize(order + "".join(codes)) - struct.calcsize(codes[-1]))
