"""Targets on loopback: one that is up, one that refuses, one that never answers."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
from typing import Any, Callable, Coroutine, Iterator, List

import pytest

import tcpshaker

Script = Callable[..., "subprocess.Popen[str]"]
Run = Callable[[Coroutine[Any, Any, Any]], Any]
Next = Callable[[tcpshaker.Monitor], tcpshaker.Change]


class Listener:
    def __init__(self, backlog: int) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.socket.setblocking(False)
        self.addr = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def was_accepted(self) -> bool:
        """Whether the application was handed a connection."""
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(1024)
    yield listener
    listener.socket.close()


@pytest.fixture
def live(listener: Listener) -> str:
    return listener.addr


@pytest.fixture
def dead() -> Iterator[str]:
    # Bound, so that no check meets itself there, and not listening.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield "127.0.0.1:%d" % closed.getsockname()[1]


@pytest.fixture(scope="session")
def silent() -> Iterator[str]:
    """A listener whose accept queue is full: the kernel drops each SYN."""
    listener = Listener(0)
    queued: List[socket.socket] = []
    host, port = listener.socket.getsockname()
    while True:
        client = socket.socket()
        client.settimeout(0.5)
        queued.append(client)
        try:
            client.connect((host, port))
        except socket.timeout:
            break
        assert len(queued) < 100, "the accept queue never fills"
    yield listener.addr
    for client in queued:
        client.close()
    listener.socket.close()


@pytest.fixture
def checker() -> Iterator[tcpshaker.Checker]:
    with tcpshaker.Checker() as checker:
        yield checker


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on an event loop of each kind."""
    if request.param == "asyncio":
        return asyncio.run
    uvloop_run: Run = pytest.importorskip("uvloop").run
    return uvloop_run


@pytest.fixture(params=["blocking", "asyncio", "uvloop"])
def next_change(request: pytest.FixtureRequest) -> Next:
    """Each way of waiting for a change."""
    if request.param == "blocking":
        return next

    def await_next(monitor: tcpshaker.Monitor) -> tcpshaker.Change:
        async def main() -> tcpshaker.Change:
            return await asyncio.wait_for(monitor.__anext__(), 60)

        change = (asyncio.run if request.param == "asyncio" else pytest.importorskip("uvloop").run)(main())
        assert isinstance(change, tcpshaker.Change)
        return change

    return await_next


@pytest.fixture
def script() -> Iterator[Script]:
    """Starts a program of its own: what a test must not do to its own process."""
    started: List[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    return len(os.listdir("/proc/self/task"))
