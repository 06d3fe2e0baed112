#!/usr/bin/env python3
"""Three targets for a consumer's test, on 127.0.0.1: one that is up, one that refuses, one that stays silent.

Prints their ports on one line and keeps them until standard input ends. Then it exits with 1 if the
application that listens on the live one was ever handed a connection: no half-open check may do that.
"""
import socket
import sys

# Outside the ephemeral range: a check from there to there would meet itself and find the port open.
DEAD_PORT = 9


def listener(backlog):
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(backlog)
    return listening


def fill(listening):
    """Connects until the accept queue is full; from then on the kernel leaves each SYN unanswered."""
    queued = []
    while len(queued) < 100:
        client = socket.socket()
        client.settimeout(0.5)
        try:
            client.connect(listening.getsockname())
        except TimeoutError:
            client.close()
            return queued
        queued.append(client)
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
