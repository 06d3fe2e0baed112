"""Checks targets from the command line: python -m tcpshaker host:port..."""

from __future__ import annotations

import argparse
import sys
from typing import Optional, Sequence

from . import Checker, __version__, library_version


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tcpshaker",
        description="Is a TCP port alive? Half a handshake tells, and the server's application never notices.",
        epilog="Ends with 0 if all are up, 1 if any is down, 2 if any gave no verdict.",
    )
    parser.add_argument("targets", nargs="+", metavar="host:port")
    parser.add_argument("-t", "--timeout", type=float, default=1.0, metavar="SECONDS", help="a check; 1 by default")
    version = f"tcpshaker {__version__}, library {library_version}"
    parser.add_argument("--version", action="version", version=version)
    chosen = parser.parse_args(arguments)
    status = 0
    try:
        with Checker() as checker:
            for result in checker.check_many(chosen.targets, chosen.timeout):
                print(result.message, flush=True)
                status = max(status, 0 if result.up else 1 if result.down else 2)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
