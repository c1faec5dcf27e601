"""Fixtures that several rooms use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.fixtures"]

LOOPBACK_DEVICE = Path(__file__).parents[1] / "scripts" / "loopback-device"


@pytest.fixture(scope="session", autouse=True)
def signals_as_at_a_terminal() -> None:
    """A shell that starts the tests in the background, or nohup, has them ignore these signals.

    So would every program that they start; a handler of one's own is not inherited.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def start_loopback() -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts a loopback device with the given options; returns what `start --json` says of it."""
    if sys.platform != "linux":
        pytest.skip("the loopback device needs Linux")
    ports: list[int] = []

    def start(*options: str) -> dict[str, Any]:
        command = [LOOPBACK_DEVICE, "start", "--port", "0", "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.fail(done.stderr, pytrace=False)
        record: dict[str, Any] = json.loads(done.stdout)
        ports.append(record["port"])
        return record

    yield start
    for port in ports:
        command = [LOOPBACK_DEVICE, "stop", "--port", str(port)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def loopback_device(start_loopback: Callable[..., dict[str, Any]]) -> str:
    """The spec, ``adb:127.0.0.1:PORT``, of a real adbd that the whole session shares."""
    spec: str = start_loopback()["spec"]
    return spec
