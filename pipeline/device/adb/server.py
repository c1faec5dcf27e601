"""A client of the adb server, which the platform tools run beside USB devices and emulators.

A request is its length in four hexadecimal digits, then its text; the answer begins with OKAY or
FAIL. See SERVICES.TXT and protocol.txt in AOSP's packages/modules/adb.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from pipeline.core.errors import DeviceError
from pipeline.device.adb.address import ServerAddress
from pipeline.device.adb.listing import Listed, parse_devices
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError

#: Bytes of one request: its length has four digits.
REQUEST_LIMIT = 0xFFFF
START_S = 20.0


class NoServerError(DeviceError):
    """Nothing listens at the server's address."""


class ServerRefusedError(DeviceError):
    """The server, or a device behind it, answered FAIL."""


class Server:
    """An adb server.

    Args:
        address: where it listens.
        timeout_s: seconds that it may take for an answer.
    """

    def __init__(self, address: ServerAddress, timeout_s: float) -> None:
        self.address = address
        self.timeout_s = timeout_s

    def devices(self) -> list[Listed]:
        """All devices that it knows, in whatever state.

        Raises:
            NoServerError: it does not run.
            DeviceError: it does not answer, or as no adb server does.
        """
        return parse_devices(self.ask("host:devices-l"))

    def features(self, serial: str) -> frozenset[str]:
        """What a device's adbd can do. Raises `ServerRefusedError` where it is not ready."""
        return frozenset(self.ask(f"host-serial:{serial}:features").split(","))

    def find(self, serial: str) -> Listed | None:
        """A device, if the server knows it.

        Raises:
            DeviceError: the server does not answer.
        """
        return next((each for each in self.devices() if each.serial == serial), None)

    def ask(self, request: str) -> str:
        """The answer to a question about devices."""
        deadline = time.monotonic() + self.timeout_s
        with self.open(request.encode(), deadline=deadline) as connection:
            try:
                return _text(connection, deadline)
            except (OSError, EOFError, ValueError) as error:
                raise self._no_adb_server(f"its answer is cut short: {error}") from None

    def open(self, *requests: bytes, deadline: float) -> socket.socket:
        """A connection on which the server has said OKAY to each request.

        Raises:
            ServerRefusedError: it said FAIL.
            NoServerError: it does not run.
            DeviceTimeoutError: no answer by the deadline (`time.monotonic`).
            DeviceGoneError: it ended the connection.
        """
        connection = self._connect(deadline)
        try:
            for request in requests:
                assert len(request) <= REQUEST_LIMIT
                connection.settimeout(_left(deadline))
                connection.sendall(b"%04x" % len(request) + request)
                self._require_okay(connection, deadline)
        except TimeoutError:
            connection.close()
            raise DeviceTimeoutError(
                f"the adb server at {self.address} did not answer in time",
                "restart the device if it hangs; if all of them seem to: `adb kill-server`",
            ) from None
        except (OSError, EOFError) as error:
            connection.close()
            self._connect(deadline).close()  # an error of its own where there is no server any more
            raise DeviceGoneError(
                f"the adb server at {self.address} ended the connection: {error}",
                "start again; if that does not help: `adb kill-server`",
            ) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def ensure_running(self) -> None:
        """Starts it where it does not run; see `start`."""
        try:
            self.devices()
        except NoServerError:
            self.start()

    def start(self) -> None:
        """Starts it with the user's own `adb`, where it would run on this machine.

        Raises:
            DeviceError: there is no `adb`, the server would run elsewhere, or it does not start.
        """
        if not self.address.is_here:
            raise NoServerError(
                f"no adb server answers at {self.address}",
                "start one there with `adb -a -P PORT nodaemon server`, or unset "
                "ADB_SERVER_SOCKET and ANDROID_ADB_SERVER_ADDRESS to use one of this machine",
            )
        program = adb_program()
        if program is None:
            raise NoServerError(
                f"no adb server runs at {self.address}, and there is no program adb to start one",
                "install Android's platform tools (Debian, Ubuntu: apt-get install adb) and put "
                "adb on the PATH; or name the device's own address: adb:HOST:PORT",
            )
        # The server that stays behind keeps what it is given as standard output.
        try:
            done = subprocess.run(
                [program, "start-server"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=START_S,
            )
            status = f"exit status {done.returncode}"
        except subprocess.TimeoutExpired:
            status = f"no end within {START_S:.0f} s"
        except OSError as error:
            status = error.strerror or str(error)
        else:
            if done.returncode == 0:
                return
        raise NoServerError(
            f"{program} could not start an adb server at {self.address}: {status}",
            f"see what `{program} start-server` says",
        )

    def _connect(self, deadline: float) -> socket.socket:
        try:
            return self.address.connect(_left(deadline))
        except (ConnectionRefusedError, FileNotFoundError):
            reason, remedy = "nothing listens there", "start it: `adb start-server`"
        except socket.gaierror as error:
            reason, remedy = (
                error.strerror or "no such host",
                "check ADB_SERVER_SOCKET, ANDROID_ADB_SERVER_ADDRESS",
            )
        except TimeoutError:
            reason, remedy = "no answer in time", "check that its machine is on the network"
        except OSError as error:
            reason, remedy = error.strerror or str(error), "check that its machine is reachable"
        raise NoServerError(f"no adb server answers at {self.address}: {reason}", remedy)

    def _require_okay(self, connection: socket.socket, deadline: float) -> None:
        status = _exactly(connection, 4, deadline)
        if status == b"OKAY":
            return
        if status != b"FAIL":
            raise self._no_adb_server(f"it said {status!r}")
        try:
            reason = _text(connection, deadline)
        except ValueError as error:
            raise self._no_adb_server(str(error)) from None
        raise ServerRefusedError(
            f"the adb server at {self.address}: {reason}", "see `adb devices -l`"
        )

    def _no_adb_server(self, reason: str) -> DeviceError:
        return DeviceError(
            f"what answers at {self.address} is no adb server: {reason}",
            "check ADB_SERVER_SOCKET and ANDROID_ADB_SERVER_PORT, or unset them; a device's own "
            "port is named as adb:HOST:PORT",
        )


def adb_program() -> str | None:
    """The user's `adb`: on the PATH, or in the SDK that ANDROID_HOME names."""
    for root in (os.environ.get("ANDROID_HOME"), os.environ.get("ANDROID_SDK_ROOT")):
        if root and (found := shutil.which("adb", path=Path(root, "platform-tools"))):
            return found
    return shutil.which("adb")


def _text(connection: socket.socket, deadline: float) -> str:
    """A length in four hexadecimal digits, and so many bytes. Raises ValueError for no digits."""
    length = int(_exactly(connection, 4, deadline), 16)
    return _exactly(connection, length, deadline).decode("utf-8", "replace")


def _exactly(connection: socket.socket, length: int, deadline: float) -> bytes:
    data = b""
    while len(data) < length:
        connection.settimeout(_left(deadline))
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError("it closed the connection")
        data += piece
    return data


def _left(deadline: float) -> float:
    """Seconds left: at least a little, since a socket's 0 means not to wait."""
    return max(0.001, deadline - time.monotonic())
