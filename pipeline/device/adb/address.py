"""Where the adb server listens, by the variables that `adb` itself goes by."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.errors import UsageError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 5037
#: Hosts on which a server could be started from here.
OURSELVES = ("127.0.0.1", "::1", "localhost")

_TCP = re.compile(r"tcp:(?:(?P<host>\[[^\]]+\]|[^:\[\]]+):)?(?P<port>[0-9]{1,5})")
_UNIX = re.compile(r"(?P<kind>localfilesystem|localabstract|local):(?P<name>.+)")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An adb server's address.

    Attributes:
        host: name or address; empty for a socket of this machine.
        port: its port.
        path: of a socket of this machine, a leading NUL for an abstract one; else empty.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    path: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServerAddress:
        """ADB_SERVER_SOCKET, or ANDROID_ADB_SERVER_ADDRESS and ANDROID_ADB_SERVER_PORT.

        Raises:
            UsageError: a variable holds something else than an address.
        """
        if text := environment.get("ADB_SERVER_SOCKET"):
            return cls._parse_socket(text)
        host = environment.get("ANDROID_ADB_SERVER_ADDRESS") or DEFAULT_HOST
        text = environment.get("ANDROID_ADB_SERVER_PORT") or str(DEFAULT_PORT)
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise UsageError(
                f"ANDROID_ADB_SERVER_PORT is {text!r}, which is no port",
                "set it to a number from 1 to 65535, or unset it",
            )
        return cls(host.strip("[]"), int(text))

    @classmethod
    def _parse_socket(cls, text: str) -> ServerAddress:
        if (found := _TCP.fullmatch(text)) and 0 < int(found["port"]) < 65536:
            return cls((found["host"] or DEFAULT_HOST).strip("[]"), int(found["port"]))
        if found := _UNIX.fullmatch(text):
            abstract = "\0" if found["kind"] == "localabstract" else ""
            return cls("", 0, abstract + found["name"])
        raise UsageError(
            f"ADB_SERVER_SOCKET is {text!r}, which is no address of an adb server",
            "write it as tcp:HOST:PORT, tcp:PORT or localfilesystem:PATH, or unset it",
        )

    @property
    def is_here(self) -> bool:
        """Whether the server would run on this machine."""
        return bool(self.path) or self.host in OURSELVES

    def __str__(self) -> str:
        if self.path:
            return self.path.replace("\0", "@")
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self, timeout_s: float) -> socket.socket:
        """Opens a connection to it.

        Raises:
            OSError: there is none, or none within the time.
        """
        if not self.path:
            connection = socket.create_connection((self.host, self.port), timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self.path)
        except BaseException:
            connection.close()
            raise
        return connection
