"""python -m tcpshaker: a line for each target, and a status for all."""

from __future__ import annotations

import signal
import subprocess
import sys

from tcpshaker import __version__, library_version

COMMAND = [sys.executable, "-W", "error", "-m", "tcpshaker"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def test_each_target_has_a_line_and_the_worst_of_them_is_the_status(live: str, dead: str, silent: str) -> None:
    for targets, status in ([live], 0), ([live, dead], 1), ([dead, live, "nonsense"], 2):
        said = run(*targets)
        assert (said.returncode, said.stderr) == (status, "")
        assert sorted(line.split()[0].rstrip(":") for line in said.stdout.splitlines()) == sorted(targets)
    said = run("-t", "0.1", silent)
    assert said.returncode == 1 and " timed out after " in said.stdout


def test_what_cannot_be_is_said_in_one_line() -> None:
    for arguments in [], ["--timeout", "0", "127.0.0.1:9"], ["--timeout", "x", "127.0.0.1:9"]:
        said = run(*arguments)
        assert said.returncode == 2 and said.stdout == "" and "error: " in said.stderr and "Trace" not in said.stderr
    assert run("--version").stdout == f"tcpshaker {__version__}, library {library_version}\n"


def test_ctrl_c_ends_it_without_a_word(live: str, silent: str) -> None:
    command = [*COMMAND, "-t", "60", live, silent]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().startswith(live)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "") and process.returncode == 130
