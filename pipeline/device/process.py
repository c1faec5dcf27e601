"""A program on this machine, run to its end within a deadline and a limit on its output."""

from __future__ import annotations

import errno
import os
import select
import selectors
import subprocess
import time
from typing import IO

from pipeline.core.children import kill_group
from pipeline.core.errors import DeviceError
from pipeline.device.base import Completed, DeviceTimeoutError, OutputLimitError

_PIECE = 1 << 16


def run_process(
    argv: tuple[str, ...], *, deadline_s: float, stdin: bytes, output_limit: int, label: str = ""
) -> Completed:
    """Runs a program as `pipeline.device.base.Device.run` describes it."""
    label = label or argv[0]
    started = time.monotonic()
    deadline = started + deadline_s
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return _not_started(argv, error)
    with process:
        try:
            stdout, stderr = _converse(process, stdin, deadline, output_limit, label)
            _wait(process, deadline)
        except BaseException as error:
            kill_group(process)
            if isinstance(error, TimeoutError):
                raise DeviceTimeoutError(
                    f"{label} did not end on this machine within {deadline_s:g} s; it was killed",
                    "find out what it waits for, or end what else keeps the machine busy",
                ) from None
            raise
    status = process.returncode
    return Completed(
        argv=argv,
        returncode=status if status >= 0 else 128 - status,
        stdout=stdout,
        stderr=stderr,
        seconds=time.monotonic() - started,
    )


def _not_started(argv: tuple[str, ...], error: OSError) -> Completed:
    """What a shell says of a program that it cannot start."""
    if error.errno == errno.E2BIG:
        raise DeviceError(
            f"the command line of {argv[0]} is longer than this system allows",
            "pass the data through standard input or in a file",
        ) from error
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    message = f"{argv[0]}: {error.strerror}\n".encode("utf-8", "surrogateescape")
    return Completed(argv, 127 if missing else 126, b"", message, 0.0)


def _converse(
    process: subprocess.Popen[bytes], stdin: bytes, deadline: float, output_limit: int, label: str
) -> tuple[bytes, bytes]:
    """Feeds standard input and gathers both outputs until these are closed.

    Raises:
        TimeoutError: the deadline passed.
        OutputLimitError: more output than the limit.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    outputs: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    rest = memoryview(stdin)
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        for pipe in outputs:
            selector.register(pipe, selectors.EVENT_READ, pipe)
        open_outputs = len(outputs)
        while open_outputs:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in ready:
                if key.data is None:
                    rest = rest[_write(process.stdin, rest) :]
                    if not rest:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                piece = os.read(key.fd, _PIECE)
                outputs[key.data] += piece
                if not piece:
                    selector.unregister(key.data)
                    open_outputs -= 1
            if sum(map(len, outputs.values())) > output_limit:
                raise OutputLimitError(
                    f"{label} wrote more than {output_limit} bytes",
                    "let it write to a file on the device, and pull that",
                )
    return bytes(outputs[process.stdout]), bytes(outputs[process.stderr])


def _wait(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Waits for the end of a program that writes no more.

    Raises:
        TimeoutError: the deadline passed.
    """
    remaining = max(0.0, deadline - time.monotonic())
    if hasattr(os, "pidfd_open"):  # Linux; elsewhere Popen.wait polls, with pauses of up to 50 ms
        handle = os.pidfd_open(process.pid)
        try:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            if not poller.poll(remaining * 1000):
                raise TimeoutError
        finally:
            os.close(handle)
    try:
        process.wait(remaining)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _write(pipe: IO[bytes], data: memoryview) -> int:
    """Bytes that the program needs no more: all of them where it has stopped reading."""
    try:
        return os.write(pipe.fileno(), data[:_PIECE]) if data else 0
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)
