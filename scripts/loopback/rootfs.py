"""The read-only root file system: Debian's adbd, mksh and toybox in Android's places."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loopback import debs, host, secure_adbd, stand_ins
from loopback.errors import LoopbackError

SOURCES = Path(__file__).resolve().parent
#: The files that decide what a root holds, beside the assets.
RECIPE = ("rootfs.py", "debs.py", "secure_adbd.py", "devshim.cc")
PACKAGES = ("adbd", "toybox", "mksh", "busybox-static")
ADBD = Path("usr/lib/android-sdk/platform-tools/adbd")
SECURE_ADBD = ADBD.with_name("adbd.secure")
TLS_ADBD = ADBD.with_name("adbd.tls")
SHIM = Path("usr/lib/devshim.so")

#: A phone's toybox has these; Debian's has not. It hashes with the processor's instructions, by
#: BoringSSL; Debian's without, ten times as long.
FROM_BUSYBOX = ("awk", "dd", "diff", "expr", "getopt", "sha256sum", "stty", "tr")
#: What packages bring that no program on the device reads.
LEFT_OUT = ("./etc", "./usr/share", "./usr/lib/systemd", "./usr/lib/*/gconv")

FOLDERS = (
    "system/bin",
    stand_ins.FOLDER,
    "etc",
    "proc",
    "sys",
    "dev",
    "tmp",
    "data/local/tmp",
    "data/misc/adb",
)
LINKS = {"bin": "system/bin", "lib": "usr/lib", "lib64": "usr/lib64"}
PASSWD = "root:x:0:0::/:/system/bin/sh\nshell:x:2000:2000::/:/system/bin/sh\n"
GROUP = "root:x:0:\nshell:x:2000:\n"


def folder(state: Path) -> Path:
    """Where the root is, or will be; a changed recipe makes another name."""
    digest = hashlib.sha256()
    for file in (*(SOURCES / name for name in RECIPE), *sorted((SOURCES / "assets").iterdir())):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return state / f"root-{digest.hexdigest()[:12]}"


def ensure(state: Path) -> Path:
    """Returns the root, made first where it is missing. Two callers at once make one."""
    root = folder(state)
    if root.exists():
        return root
    with locked(state):
        if not root.exists():
            for abandoned in state.glob("building-*"):
                shutil.rmtree(abandoned)
            _build(state, root)
    return root


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """Holds the lock under which the root is made and removed."""
    with (state / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("loopback-device: waiting for another setup to end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(state: Path, root: Path) -> None:
    host.require(host.TO_SET_UP)
    print(f"loopback-device: setting up {root}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="building-", dir=state) as name:
        work = Path(name)
        new = work / "root"
        new.mkdir()
        fetched = debs.fetch(PACKAGES, work / "apt")
        for deb in fetched:
            _unpack(deb.file, new)
        _arrange(new)
        _compile_shim(new / SHIM)
        _write_secure_adbd(new)
        _link_tools(new)
        packages = "".join(f"{deb.name} {deb.version} sha256:{deb.sha256}\n" for deb in fetched)
        (state / f"{root.name}.packages.txt").write_text(packages)
        new.rename(root)  # last: a root that exists is complete


def _unpack(deb: Path, root: Path) -> None:
    unpack = ["tar", "-x", "-C", str(root), "--no-same-owner"]
    unpack += [f"--exclude={path}" for path in LEFT_OUT]
    with subprocess.Popen(["dpkg", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as source:
        done = subprocess.run(unpack, stdin=source.stdout, capture_output=True, text=True)
    if done.returncode != 0 or source.returncode != 0:
        raise LoopbackError(
            f"{deb.name} could not be unpacked: {done.stderr.strip()}",
            f"check the free space of {root.parent}",
        )


def _arrange(root: Path) -> None:
    """Android's folders, with the shell and the tools in /system/bin."""
    for path in FOLDERS:
        (root / path).mkdir(parents=True, exist_ok=True)
    for program, name in (("mksh", "sh"), ("toybox", "toybox"), ("busybox", "busybox")):
        (root / "usr/bin" / program).rename(root / "system/bin" / name)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "data/misc/adb/adb_keys").touch()
    for script in (SOURCES / "assets").iterdir():
        installed = root / "system/bin" / script.name
        shutil.copyfile(script, installed)
        installed.chmod(0o755)


def _compile_shim(library: Path) -> None:
    compiler = ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    compiler += ["-fvisibility=hidden", "-o", str(library), str(SOURCES / "devshim.cc")]
    done = subprocess.run(compiler, capture_output=True, text=True)
    if done.returncode != 0:
        raise LoopbackError(f"g++ could not compile devshim.cc:\n{done.stderr.strip()}")


def _write_secure_adbd(root: Path) -> None:
    program = (root / ADBD).read_bytes()
    ways = ((SECURE_ADBD, secure_adbd.demand_authentication), (TLS_ADBD, secure_adbd.demand_tls))
    for name, demand in ways:
        try:
            program = demand(program)
        except secure_adbd.PatternError as error:
            print(f"loopback-device: no {name.name} of this adbd: {error}", file=sys.stderr)
            return
        (root / name).write_bytes(program)
        (root / name).chmod(0o755)


def _link_tools(root: Path) -> None:
    """Makes the tools' names, asking the device's own toybox, which the host could not run."""
    sandbox = ["bwrap", "--unshare-user", "--ro-bind", str(root), "/", "/system/bin/toybox"]
    done = subprocess.run(sandbox, capture_output=True, text=True)
    if done.returncode != 0:
        raise host.sandbox_refused(done.stderr.strip())
    programs = root / "system/bin"
    for names, target in ((FROM_BUSYBOX, "busybox"), (done.stdout.split(), "toybox")):
        for name in names:
            if not os.path.lexists(programs / name):
                (programs / name).symlink_to(target)
