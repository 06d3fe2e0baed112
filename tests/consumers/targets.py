#!/usr/bin/env python3
"""Three targets for a consumer's test, on 127.0.0.1: one that is up, one that refuses, one that stays silent.

Prints their ports on one line and keeps them until standard input ends. Then it exits with 1 if the
application that listens on the live one was ever handed a connection: no half-open check may do that.
"""
import socket
import struct
import sys
import time

# Outside the ephemeral range: a check from there to there would meet itself and find the port open.
DEAD_PORT = 9


def listener(backlog):
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(backlog)
    return listening


def fill(listening):
    """Connects once, which fills the shortest accept queue; from then on the kernel leaves each SYN unanswered."""
    client = socket.create_connection(listening.getsockname())
    # Of a listener, TCP_INFO tells how long the queue is and how long it may be: tcpi_unacked and tcpi_sacked, which stand
    # behind eight numbers of one byte and four of four. One more than that fits in.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        length, longest = struct.unpack_from("II", listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32), 24)
        if length > longest:
            return client
        time.sleep(0.001)
    sys.exit("targets.py: the accept queue never fills")


live, silent = listener(1024), listener(0)
queued = fill(silent)
print(live.getsockname()[1], DEAD_PORT, silent.getsockname()[1], flush=True)
sys.stdin.read()

live.setblocking(False)
try:
    _, peer = live.accept()
except BlockingIOError:
    sys.exit(0)
sys.exit(f"targets.py: the live listener's application saw a connection from {peer}")
