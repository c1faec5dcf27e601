"""Fixtures that several rooms use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.fixtures"]

LOOPBACK_DEVICE = Path(__file__).parents[1] / "scripts" / "loopback-device"


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
