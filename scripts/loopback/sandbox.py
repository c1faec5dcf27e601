"""One adbd in one bubblewrap sandbox: what it sees, and how it is started."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from loopback import emulation, host, rootfs, stand_ins
from loopback.errors import LoopbackError
from loopback.process import BOOT_ID, Process, children

#: The user "shell", as whom programs run on a phone that is not rooted.
SHELL_UID = 2000
#: Where root's sandboxes find their files, each in a mount namespace of its own.
REACHABLE = Path("/mnt")
ENTER = """
mount -t tmpfs -o mode=755 none "$1" && mkdir "$1/root" "$1/run" &&
mount --bind "$2" "$1/root" && mount --bind "$3" "$1/run" && shift 3 && exec "$@"
"""
START_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Options:
    """How a device is to behave.

    Attributes:
        disk_bytes: size of /data/local/tmp, which is then kept in memory; None: the host's disk.
        auth: whether adbd demands RSA authentication.
        public_keys: the adbkey.pub lines of those who may connect.
        accept_keys: whether the device's owner allows every other key too.
        tls: whether adbd speaks TLS, as wireless debugging does, and only with those keys.
        abi: of the programs that it runs, in Android's spelling.
        stand_ins: whether it says that it runs Android, and answers as a test has it.
    """

    disk_bytes: int | None = None
    auth: bool = False
    public_keys: tuple[str, ...] = ()
    accept_keys: bool = False
    tls: bool = False
    abi: str = field(default_factory=emulation.native_abi)
    stand_ins: bool = False

    @property
    def adbd(self) -> Path:
        """The program, in the root."""
        if self.tls:
            return rootfs.TLS_ADBD
        return rootfs.SECURE_ADBD if self.auth else rootfs.ADBD


@dataclass(frozen=True)
class Sandbox:
    """The processes of a device that was started, as the host numbers them.

    Attributes:
        monitor: the outer bwrap.
        init: process 1 inside; when it is killed, everything inside ends.
        adbd: the daemon.
    """

    monitor: Process
    init: Process
    adbd: Process


def properties(port: int, options: Options) -> dict[str, str]:
    """What the device says of itself: only what is true, but for stand-ins."""
    emulated = {"ro.boot.qemu": "1"} if emulation.is_emulated(options.abi) else {}
    return {
        **emulated,
        **(stand_ins.PROPERTIES if options.stand_ins else {}),
        "ro.product.brand": "Debian",
        "ro.product.device": "loopback",
        "ro.product.manufacturer": "Debian",
        "ro.product.model": "Loopback device",
        "ro.product.name": "loopback",
        "ro.product.cpu.abi": options.abi,
        "service.adb.listen_addrs": f"tcp:localhost:{port}",
    }


def prepare(run: Path, port: int, options: Options) -> None:
    """Writes what a device has of its own to the new folder ``run``."""
    for name in ("properties", "tmp"):
        (run / name).mkdir(parents=True)
    (run / "tmp").chmod(0o771)
    for name, value in properties(port, options).items():
        (run / "properties" / name).write_text(value)
    if emulation.is_emulated(options.abi):
        emulation.prepare(run)
    if options.stand_ins:
        stand_ins.prepare(run)
    (run / "adb_keys").write_text("".join(f"{key.strip()}\n" for key in options.public_keys))
    # The device shares this kernel, and says so until it is restarted.
    (run / BOOT_ID.name).write_text(BOOT_ID.read_text())
    if os.geteuid() == 0:
        for path in (run / "tmp", run / "properties", *(run / "properties").iterdir()):
            os.chown(path, SHELL_UID, SHELL_UID)


def reboot(run: Path) -> None:
    """Gives the device a number for its kernel's next start."""
    (run / BOOT_ID.name).write_text(f"{uuid.uuid4()}\n")


def start(root: Path, run: Path, options: Options) -> Sandbox:
    """Starts adbd with its files in the folder ``run``; it may not listen yet."""
    if not (root / options.adbd).exists():
        raise LoopbackError(
            "this Debian's adbd cannot be made to demand authentication or TLS",
            "leave out --auth and --tls",
        )
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as status, (run / "log").open("wb") as log:
        try:
            monitor = subprocess.Popen(
                _command(root, run, options, write_end),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        finally:
            os.close(write_end)
        line = status.readline()  # empty when bwrap ended before it had a child
    processes = _processes(monitor.pid, line)
    if processes is None:
        monitor.kill()
        monitor.wait()
        raise host.sandbox_refused((run / "log").read_text().strip())
    return processes


def wait_until_listening(sandbox: Sandbox, run: Path, port: int) -> None:
    """Returns once adbd takes connections."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while sandbox.adbd.alive and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    log = (run / "log").read_text().strip()
    raise LoopbackError(f"adbd does not listen on 127.0.0.1:{port}:\n{log[-2000:]}")


def _command(root: Path, run: Path, options: Options, status_fd: int) -> list[str]:
    emulated = emulation.is_emulated(options.abi)
    if os.geteuid() != 0:
        before = emulation.enter(run) if emulated else []
        return [*before, *_bwrap(root, run, options, status_fd)]
    # Root must not stand behind the device's user: a sandbox whose owner is uid 0 of the host can
    # write to /proc/sys. And the user that stands there instead may have no way into the state
    # folder (under /root, say), so that it gets a way in, which no other process sees.
    drop = ["setpriv", f"--reuid={SHELL_UID}", f"--regid={SHELL_UID}", "--clear-groups"]
    return [
        *("unshare", "--mount", "--propagation", "private"),
        *("sh", "-c", ENTER, "sh", str(REACHABLE), str(root), str(run)),
        *drop,
        *(emulation.enter(REACHABLE / "run") if emulated else ()),
        *_bwrap(REACHABLE / "root", REACHABLE / "run", options, status_fd),
    ]


def _bwrap(root: Path, run: Path, options: Options, status_fd: int) -> list[str]:
    writable = ["--bind", str(run / "tmp"), "/data/local/tmp"]
    if options.disk_bytes is not None:
        size = str(options.disk_bytes)
        writable = ["--perms", "0771", "--size", size, "--tmpfs", "/data/local/tmp"]
    environment = {
        "ANDROID_DATA": "/data",
        "ANDROID_ROOT": "/system",
        "DEVSHIM_PROPERTIES": "/dev/__properties__",
        "HOME": "/",
        "LD_PRELOAD": f"/{rootfs.SHIM}",
        "PATH": f"/system/bin:/{stand_ins.FOLDER}",
        "SHELL": "/system/bin/sh",
        "TMPDIR": "/data/local/tmp",
    }
    if options.accept_keys:
        environment["DEVSHIM_ACCEPT_KEYS"] = "1"
    return [
        "bwrap",
        *("--unshare-user", "--uid", str(SHELL_UID), "--gid", str(SHELL_UID)),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "loopback"),
        *("--json-status-fd", str(status_fd)),
        *("--ro-bind", str(root), "/", "--proc", "/proc", "--ro-bind", "/sys", "/sys"),
        *("--perms", "1777", "--tmpfs", "/tmp"),
        *("--ro-bind", str(run / BOOT_ID.name), str(BOOT_ID)),
        *("--ro-bind", str(run / "adb_keys"), "/data/misc/adb/adb_keys"),
        *writable,
        *("--dev", "/dev", "--bind", str(run / "properties"), "/dev/__properties__"),
        *("--remount-ro", "/dev", "--chdir", "/", "--clearenv"),
        *(word for pair in environment.items() for word in ("--setenv", *pair)),
        *(emulation.bindings(run) if emulation.is_emulated(options.abi) else ()),
        *(stand_ins.bindings(run) if options.stand_ins else ()),
        f"/{options.adbd}",
    ]


def _processes(monitor_pid: int, status_line: str) -> Sandbox | None:
    """Finds the sandbox's processes; None when it ended before adbd began."""
    if not status_line:
        return None
    deadline = time.monotonic() + START_TIMEOUT_S
    with contextlib.suppress(ProcessLookupError):
        monitor, init = Process.of(monitor_pid), Process.of(json.loads(status_line)["child-pid"])
        while init.alive and time.monotonic() < deadline:
            for pid in children(init.pid):  # process 1 starts adbd and nothing else
                return Sandbox(monitor, init, Process.of(pid))
            time.sleep(0.001)
    return None
