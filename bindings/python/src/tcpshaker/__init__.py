"""Is a TCP port alive? Half a handshake tells: SYN, SYN-ACK, RST; the server's application never sees the check.

    import tcpshaker

    result = tcpshaker.check("127.0.0.1:80", timeout=1.0)
    print("up" if result.up else "down" if result.down else "no verdict")

Checker is for settings of its own, for many targets (check_many) and for asyncio (acheck), and makes a Monitor, which
checks targets again and again and tells when the state of one changes.
"""

from ._arguments import Address, Target
from ._checker import Checker, check
from ._library import library_version
from ._monitor import Monitor
from ._result import Result, Status
from ._stats import Stats
from ._watch import Change, State, Watch, WatchInfo

__version__ = "0.1.0"
__all__ = [
    "Address",
    "Change",
    "Checker",
    "Monitor",
    "Result",
    "State",
    "Stats",
    "Status",
    "Target",
    "Watch",
    "WatchInfo",
    "check",
    "library_version",
]
