"""python -m tcpshaker: a line for each target, and a status for all."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import List

import pytest

from tcpshaker import __version__, library_version
from tcpshaker.__main__ import main


def test_each_target_has_a_line_and_the_worst_of_them_is_the_status(
    capsys: pytest.CaptureFixture[str], live: str, dead: str, silent: str
) -> None:
    for targets, status in ([live], 0), ([live, dead], 1), ([dead, live, "nonsense"], 2):
        assert main(["-t", "30", *targets]) == status
        said = capsys.readouterr()
        assert sorted(line.split()[0].rstrip(":") for line in said.out.splitlines()) == sorted(targets)
        assert said.err == ""
    assert main(["-t", "0.5", silent]) == 1
    assert " timed out after " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--timeout", "0", "127.0.0.1:9"], ["--timeout", "x", "127.0.0.1:9"]])
def test_what_cannot_be_is_said(capsys: pytest.CaptureFixture[str], arguments: List[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    said = capsys.readouterr()
    assert said.out == "" and "error: " in said.err


def test_its_version_is_the_packages_and_the_librarys(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"tcpshaker {__version__}, library {library_version}\n"


def test_ctrl_c_ends_it_without_a_word(live: str, silent: str) -> None:
    command = [sys.executable, "-W", "error", "-m", "tcpshaker", "-t", "60", live, silent]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().startswith(live)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "") and process.returncode == 130
