"""How fast ADB is: files pushed, commands run and bundles deployed, by us and by `adb` itself.

    python -m benchmarks.adb                      a loopback device, started and stopped here
    python -m benchmarks.adb --device adb:SERIAL  a device of the adb server
    python -m benchmarks.adb --parts deploy --rounds 2    shortly: of commands, pushes, deploy some

Ways are interleaved: each round takes all of them, in an order of its own. Raw samples are printed
before medians. On a loopback device it compares a connection of our own, our client of the adb
server, and the program `adb`; on another device, those that lead to it. Beside pushes to a loopback
device stands the CPU time of both sides: here (with the adb server) and adbd's. For one this
side does hardly anything: the kernel sends messages that were written before, and copies none of
them (sendfile).

What is deployed is --bundle with its control arms (dist/digits-resnet, which scripts/demo builds:
55 MB with the harness): once where there is nothing, and once again. Bars on loopback: 1.5 s and
0.4 s. The verification of bundle and harness on this machine comes before, and is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path, PurePosixPath

from benchmarks.prepared_push import CpuTimes, PreparedPush, adb_server
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Silent
from pipeline.device.base import Device
from pipeline.device.connect import connect

ROOT = Path(__file__).resolve().parent.parent
#: Where the devices work.
FOLDER = PurePosixPath("/data/local/tmp/pwl-benchmark")
TARGET = FOLDER / "file"
NATIVE = "adb"
DIRECT, SERVER = "connection of our own", "client of the adb server"
UNCOPIED = "prepared, sent without a copy"
PARTS = ("commands", "pushes", "deploy")
#: Seconds of a first deployment of 55 MB, and of a second one of the same.
FIRST_S, SECOND_S = 1.5, 0.4

Way = Callable[[], object]


def main() -> None:
    arguments = _arguments()
    with contextlib.ExitStack() as stack:
        adbd: int | None = None
        spec = arguments.device
        if spec is None:
            spec, adbd = stack.enter_context(_loopback_device())
        devices = stack.enter_context(_devices(spec, arguments.device is None))
        device = next(iter(devices.values()))
        serial = device.properties().serial
        print(f"device {spec} ({serial}); {os.cpu_count()} processors; {time.strftime('%F')}")
        try:
            if {"commands", "pushes"}.intersection(arguments.parts):
                _commands_and_pushes(devices, serial, adbd, arguments)
            if "deploy" in arguments.parts:
                _deployments(devices, arguments.bundle, arguments.rounds)
        finally:
            device.run(["rm", "-rf", str(FOLDER)], deadline_s=60)


def _commands_and_pushes(
    devices: dict[str, Device], serial: str, adbd: int | None, arguments: argparse.Namespace
) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "file"
        sha256 = _write(file, arguments.megabytes)

        def native(*words: str) -> Way:
            return lambda: subprocess.run(
                ["adb", "-s", serial, *words], check=True, capture_output=True
            )

        commands: dict[str, Way] = {
            name: lambda device=device: device.run(["true"], deadline_s=60)  # type: ignore[misc]
            for name, device in devices.items()
        }
        pushes: dict[str, Way] = {}
        for name, device in devices.items():
            pushes[f"{name}, verified"] = _push(device, file, sha256)
            pushes[f"{name}, sent only"] = _send(device, file)
            if name == DIRECT:
                messages = file.with_name("messages")
                pushes[UNCOPIED] = PreparedPush(device, file, str(TARGET), messages)
        if shutil.which("adb"):
            commands[NATIVE] = native("shell", "true")
            pushes[NATIVE] = native("push", str(file), str(TARGET))
        if "commands" in arguments.parts:
            _compare("a command (true)", commands, arguments.rounds * 10)
        if "pushes" in arguments.parts:
            what = f"a push of {arguments.megabytes} MB"
            _compare(what, pushes, arguments.rounds, file, adbd)


def _deployments(devices: dict[str, Device], bundle: Path, rounds: int) -> None:
    """Deploys a bundle where there is nothing, and again, by every way in turns."""
    from pipeline.harness.deploy import deploy
    from pipeline.toolchain.build_harness import build_harness
    from pipeline.toolchain.target import target_for
    from pipeline.workflows.measure_device import open_payload

    payload = open_payload(bundle, None)
    properties = next(iter(devices.values())).properties()
    target = target_for(properties.abi, properties.system)
    package = build_harness(target, ROOT / "build" / "harness", Silent())
    pushed = 0
    samples: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in devices}
    order = list(devices)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            device = devices[name]
            # Not the folder itself: that is there, and tried, since the connection was made.
            there = [str(device.workdir / part) for part in ("harness", "bundles", "caches")]
            device.run(["rm", "-rf", *there], deadline_s=60)
            for taken in samples[name]:
                begin = time.perf_counter()
                installation = deploy(device, package, [payload], Silent())
                taken.append(time.perf_counter() - begin)
                pushed = max(pushed, installation.pushed_bytes)
    print(f"\n{bundle} deployed, {pushed / 1e6:.1f} MB, {rounds} rounds; seconds:")
    for name, (first, second) in samples.items():
        for what, taken, bar in (("first", first, FIRST_S), ("second", second, SECOND_S)):
            raw = " ".join(f"{each:.3f}" for each in taken)
            middle = statistics.median(taken)
            print(f"  {name:24s} {what:6s} {raw}  median {middle:.3f}  bar {bar}")


def _push(device: Device, file: Path, sha256: str) -> Way:
    """As `deploy` does it: hashed on the device, renamed into place."""
    return lambda: device.push(file, TARGET, sha256=sha256)


def _send(device: Device, file: Path) -> Way:
    """The transfer alone, which is what `adb push` does."""
    from pipeline.device.adb import sync
    from pipeline.device.adb.device import AdbDevice
    from pipeline.device.files import Source

    assert isinstance(device, AdbDevice)

    def send() -> None:
        with Source(file, hashed=False) as source:
            link = device._link()
            sync.send_file(link, source, str(TARGET), size=file.stat().st_size, mode=0o644)

    return send


def _compare(
    what: str,
    ways: dict[str, Way],
    rounds: int,
    file: Path | None = None,
    adbd: int | None = None,
) -> None:
    samples: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[CpuTimes]] = {name: [] for name in ways}
    server = adb_server(int(os.environ.get("ANDROID_ADB_SERVER_PORT", "5037")))
    order = list(ways)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            if isinstance(way := ways[name], PreparedPush):
                way.prepare()
            before = CpuTimes.read(adbd, server) if adbd else None
            begin = time.perf_counter()
            way()
            samples[name].append(time.perf_counter() - begin)
            if adbd and before:
                cpu[name].append(CpuTimes.read(adbd, server).since(before))
    print(f"\n{what}, {rounds} rounds; milliseconds:")
    for name, taken in samples.items():
        print(f"  {name}: {' '.join(f'{1000 * each:.1f}' for each in taken)}")
    native = statistics.median(samples.get(NATIVE, [float("nan")]))
    for name, taken in samples.items():
        median = statistics.median(taken)
        rate = f", {file.stat().st_size / median / 1e6:.0f} MB/s" if file else ""
        speed = f"{native / median:.2f} x as fast as adb"
        print(f"  {name:33s} median {1000 * median:8.1f} ms{rate}, {speed}{_cpu(cpu[name])}")


def _cpu(times: list[CpuTimes]) -> str:
    """Means: of what is told in steps of 10 ms."""
    if not times:
        return ""
    host, adbd = (1000 * statistics.mean(each) for each in zip(*map(astuple, times), strict=True))
    return f"; CPU {host:.0f} ms here, {adbd:.0f} of adbd"


def _write(file: Path, megabytes: int) -> str:
    digest = hashlib.sha256()
    with file.open("wb") as sink:
        for number in range(megabytes):
            block = random.Random(number).randbytes(1_000_000)
            digest.update(block)
            sink.write(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _devices(spec: str, is_loopback: bool) -> Iterator[dict[str, Device]]:
    """The device by each way that leads to it."""
    with contextlib.ExitStack() as stack:
        devices: dict[str, Device] = {}
        if is_loopback:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                os.environ["ANDROID_ADB_SERVER_PORT"] = str(probe.getsockname()[1])
            devices[DIRECT] = stack.enter_context(_connected(spec))
            if not shutil.which("adb"):
                print("not here: no adb to compare with")
                yield devices
                return
            stack.callback(subprocess.run, ["adb", "kill-server"], check=False)
            subprocess.run(["adb", "connect", spec.removeprefix("adb:")], check=True)
        devices[SERVER] = stack.enter_context(_connected(spec))
        yield devices


def _connected(spec: str) -> Device:
    return connect(spec, timeout_s=60, folder=FOLDER)


@contextlib.contextmanager
def _loopback_device() -> Iterator[tuple[str, int]]:
    """The name of a new device, and the process of its adbd."""
    program = str(ROOT / "scripts" / "loopback-device")
    command = [program, "start", "--port", "0", "--json"]
    started = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    try:
        yield started["spec"], started["adbd_pid"]
    finally:
        subprocess.run([program, "stop", "--port", str(started["port"])], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help="a device of the adb server, instead of a loopback one")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--bundle", type=Path, default=ROOT / "dist" / "digits-resnet")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        raise SystemExit(f"error: {error}") from None
