"""The shell line that stands between adbd and a program."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.adb.direct import COMMAND_LIMIT
from pipeline.device.adb.shell import command_line
from pipeline.device.connect import connect
from tests.no_hang import no_hang


@pytest.fixture
def adbd() -> Iterator[tuple[socket.socket, socket.socket]]:
    """As adbd has it: one socket for the shell's standard input and output."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_input_that_a_program_does_not_read_is_taken_nevertheless(
    adbd: tuple[socket.socket, socket.socket],
) -> None:
    """Where writing fails, adbd forgets the output that it has not read yet."""
    ours, theirs = adbd
    line = command_line(["sh", "-c", "echo done; exit 3"], COMMAND_LIMIT, reads=True)
    with no_hang(20), subprocess.Popen(["sh", "-c", line], stdin=theirs, stdout=theirs) as shell:
        theirs.close()
        ours.sendall(bytes(5_000_000))
        ours.shutdown(socket.SHUT_WR)
        output = ours.makefile("rb").read()
    assert shell.returncode == 3
    assert output == b"%d\ndone\n" % shell.pid


@pytest.mark.parametrize("reads", [False, True])
def test_the_longest_line_is_accepted_and_one_byte_more_is_not(reads: bool) -> None:
    rest = len(command_line(["echo", "x"], COMMAND_LIMIT, reads=reads)) - 1
    longest = "x" * (COMMAND_LIMIT - rest)
    assert len(command_line(["echo", longest], COMMAND_LIMIT, reads=reads)) == COMMAND_LIMIT
    with pytest.raises(DeviceError, match=f"{COMMAND_LIMIT + 1} bytes long"):
        command_line(["echo", longest + "x"], COMMAND_LIMIT, reads=reads)


def test_adbd_takes_the_longest_line(loopback_device: str) -> None:
    longest = "x" * (COMMAND_LIMIT - len(command_line(["printf", "x"], COMMAND_LIMIT)) + 1)
    with connect(loopback_device) as device:
        assert device.run(["printf", longest], deadline_s=10).stdout.decode() == longest
