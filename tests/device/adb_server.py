"""A real adb server of the tests' own: Debian's, or the newer one that the adbutils wheel ships."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SYSTEM, NEWER = "adb server", "newer adb server"


@dataclass(frozen=True)
class AdbServer:
    """A server that runs.

    Attributes:
        program: the `adb` of which it is.
        port: where it listens on 127.0.0.1.
        process: it.
        environment: what a client of it is started with.
    """

    program: str
    port: int
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def attach(self, spec: str) -> str:
        """Has it connect to a device at ``adb:HOST:PORT``; returns the device's serial."""
        serial = spec.removeprefix("adb:")
        said = self.adb("connect", serial)
        if "connected to" not in said:
            pytest.fail(said, pytrace=False)
        return serial

    def adb(self, *arguments: str) -> str:
        command = [self.program, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout + done.stderr


def adb_program(kind: str) -> str:
    """Where an `adb` is; skips the test where there is none."""
    if kind == SYSTEM:
        program = shutil.which("adb")
        if program is None:
            pytest.skip("not here: no adb (apt-get install adb)")
        return program
    found = importlib.util.find_spec("adbutils")
    if found is None or found.origin is None:
        pytest.skip("not here: no adbutils, whose wheel ships an adb (pip install adbutils)")
    program = str(Path(found.origin).parent / "binaries" / "adb")
    if not os.access(program, os.X_OK):
        pytest.skip(f"not here: no program {program}")
    return program


@contextlib.contextmanager
def adb_server(
    program: str, home: Path, port: int = 0, *, emulators: bool = False
) -> Iterator[AdbServer]:
    """Runs a server that knows no device; its keys and its log lie below ``home``.

    Args:
        program: the `adb` of which it is.
        home: a folder of its own.
        port: where it listens; 0 for any.
        emulators: whether it looks for emulators on this machine's ports, as it usually does.
    """
    home.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", port)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(home),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_LIBUSB": "0",  # the newer one would look for USB devices for three seconds
        **({} if emulators else {"ADB_LOCAL_TRANSPORT_MAX_PORT": "1"}),
    }
    ready, says_ready = os.pipe()
    command = [program, "-P", str(port), "fork-server", "server", "--reply-fd", str(says_ready)]
    process = subprocess.Popen(command, env=environment, pass_fds=(says_ready,), cwd=home)
    os.close(says_ready)
    try:
        with os.fdopen(ready) as answer:
            said = answer.readline()
        if said != "OK\n":
            pytest.fail(f"{program} started no server: {said}", pytrace=False)
        yield AdbServer(program, port, process, environment)
    finally:
        process.kill()
        process.wait()
