"""Prints the structs' layout as this package has it, to be compared with C's."""

from __future__ import annotations

import ctypes
import struct
from typing import Type

from tcpshaker._library import Change, Request, Stats, Watch, WatchInfo
from tcpshaker._result import RESULT

RESULT_FIELDS = "id user_data status os_error rtt_us syn_retransmits elapsed_us flags address reserved".split()


def show(name: str, struct: Type[ctypes.Structure]) -> None:
    print(name, ctypes.sizeof(struct))
    for field, *_ in struct._fields_:
        print(f"{name}.{field.rstrip('_')}", getattr(struct, field).offset)


show("shaker_request", Request)
print("shaker_result", RESULT.size)
order, formats = RESULT.format[0], RESULT.format[1:].replace("28s", "s")
for index, name in enumerate(RESULT_FIELDS):
    codes = [code.replace("s", "28s") for code in formats[: index + 1]]
    print(f"shaker_result.{name}", struct.calcsize(order + "".join(codes)) - struct.calcsize(codes[-1]))

show("shaker_stats", Stats)
show("shaker_watch", Watch)
show("shaker_change", Change)
show("shaker_watch_info", WatchInfo)
