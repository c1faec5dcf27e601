"""The devices of one state folder: started, found again by later commands, stopped."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from loopback import emulation, host, rootfs, sandbox
from loopback.errors import LoopbackError
from loopback.process import Process
from loopback.sandbox import Options, Sandbox

KILL_TIMEOUT_S = 5.0
RECORD = "device.json"


@dataclass(frozen=True)
class LoopbackDevice:
    """A device that was started and has a record in the state folder."""

    port: int
    folder: Path
    options: Options
    processes: Sandbox

    @property
    def spec(self) -> str:
        return f"adb:127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self.processes.adbd.alive

    def summary(self) -> dict[str, object]:
        """What ``--json`` prints."""
        return {
            "spec": self.spec,
            "port": self.port,
            "running": self.running,
            "adbd_pid": self.processes.adbd.pid,
            "init_pid": self.processes.init.pid,
            "monitor_pid": self.processes.monitor.pid,
            "folder": str(self.folder),
            "disk_bytes": self.options.disk_bytes,
            "auth": self.options.auth,
            "abi": self.options.abi,
        }

    def save(self) -> None:
        text = json.dumps(
            {
                "port": self.port,
                "options": asdict(self.options),
                "processes": asdict(self.processes),
            }
        )
        unfinished = self.folder / f"{RECORD}.part"
        unfinished.write_text(text)
        unfinished.replace(self.folder / RECORD)

    @classmethod
    def load(cls, folder: Path) -> LoopbackDevice:
        record = json.loads((folder / RECORD).read_text())
        options = {**record["options"], "public_keys": tuple(record["options"]["public_keys"])}
        processes = {name: Process(**value) for name, value in record["processes"].items()}
        return cls(record["port"], folder, Options(**options), Sandbox(**processes))


class Devices:
    """The devices whose records are under one state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "devices"

    def __iter__(self) -> Iterator[LoopbackDevice]:
        for record in sorted(self.folder.glob(f"*/{RECORD}"), key=lambda path: path.parent.name):
            yield LoopbackDevice.load(record.parent)

    def start(self, port: int, options: Options) -> LoopbackDevice:
        """Starts a device, or returns the one that runs on this port with the same options."""
        emulator = (emulation.QEMU,) if emulation.is_emulated(options.abi) else ()
        host.require((*host.TO_RUN, *emulator))
        self.folder.mkdir(parents=True, exist_ok=True)
        root = rootfs.ensure(self.state)
        with self._locked():
            for device in self:
                if device.port == port and device.running:
                    return _same(device, options)
            port = _free_port(port)
            folder = self.folder / str(port)
            _discard(folder)
            sandbox.prepare(folder, port, options)
            return _started(root, folder, port, options)

    def restart(self, port: int) -> LoopbackDevice:
        """Starts a device anew, as a phone that is switched off and on: its files stay.

        What it has in memory (`Options.disk_bytes`) does not.
        """
        root = rootfs.ensure(self.state)
        with self._locked():
            device = next((each for each in self if each.port == port), None)
            if device is None:
                raise LoopbackError(
                    f"no device was started on port {port}", "scripts/loopback-device status"
                )
            _end(device)
            sandbox.reboot(device.folder)
            return _started(root, device.folder, port, device.options)

    def stop(self, port: int | None = None) -> list[LoopbackDevice]:
        """Stops the device on one port, or all of them; returns those that ran."""
        if not self.folder.exists():
            return []
        with self._locked():
            chosen = [device for device in self if port in (None, device.port)]
            running = [device for device in chosen if device.running]
            for device in chosen:
                _stop(device)
            return running

    def clean(self) -> list[LoopbackDevice]:
        """Stops all devices and removes all that was ever written to the state folder."""
        if not self.state.exists():
            return []
        stopped = self.stop()
        with rootfs.locked(self.state):
            # Only what is known to be ours: the state folder may have been set to any folder.
            for pattern in ("building-*", "root-*", "devices"):
                for path in self.state.glob(pattern):
                    path.unlink() if path.is_file() else _discard(path)
            (self.state / "setup.lock").unlink()
        with contextlib.suppress(OSError):
            self.state.rmdir()
        return stopped

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _same(device: LoopbackDevice, options: Options) -> LoopbackDevice:
    if device.options != options:
        raise LoopbackError(
            f"{device.spec} runs already, with other options",
            f"scripts/loopback-device stop --port {device.port}",
        )
    return device


def _free_port(port: int) -> int:
    """The port itself, or any free one for 0."""
    with socket.socket() as probe:
        # As adbd does, so that connections of an earlier device that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise LoopbackError(
                f"port {port} is reserved for root", "choose one above 1023 with --port"
            ) from None
        except OSError as error:
            raise LoopbackError(
                f"port {port} of 127.0.0.1 cannot be used: {os.strerror(error.errno or 0)}",
                "choose another with --port N, or any free one with --port 0",
            ) from None
        return int(probe.getsockname()[1])


def _started(root: Path, folder: Path, port: int, options: Options) -> LoopbackDevice:
    """A device whose files are in its folder; one that does not start leaves nothing."""
    processes = sandbox.start(root, folder, options)
    device = LoopbackDevice(port, folder, options, processes)
    try:
        device.save()
        sandbox.wait_until_listening(processes, folder, port)
    except BaseException:
        _stop(device)
        raise
    return device


def _stop(device: LoopbackDevice) -> None:
    _end(device)
    _discard(device.folder)


def _end(device: LoopbackDevice) -> None:
    """Ends all that runs on it."""
    processes = device.processes
    try:
        # Process 1 takes everything inside along; the monitor ends when it sees that.
        gone = [p.kill(KILL_TIMEOUT_S) for p in (processes.init, processes.monitor)]
    except PermissionError:
        raise LoopbackError(
            f"{device.spec} was started by another user", "stop it as that user, or as root"
        ) from None
    if not all(gone):
        raise LoopbackError(f"{device.spec} could not be killed within {KILL_TIMEOUT_S:.0f} s")


def _discard(folder: Path) -> None:
    """Removes a folder even where programs on the device made folders that nobody may enter."""
    if not folder.exists():
        return
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():  # it may point to anything on the host
                path.chmod(0o700)
    shutil.rmtree(folder)
