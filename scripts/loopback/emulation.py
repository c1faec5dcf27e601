"""Another processor's programs on the device: the kernel hands them to QEMU's user mode.

Since Linux 6.7 a user namespace has a binfmt_misc of its own, and those below it share it, so that
nothing is registered on the host. adbd, shell and tools stay the host's: only what is pushed is
emulated, at a thousandth of a phone's speed. It shows what programs compute, never how fast.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from loopback.errors import LoopbackError
from loopback.host import HostPackage

ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a", "armv7l": "armeabi-v7a", "i686": "x86"}
ARM64 = "arm64-v8a"
QEMU = HostPackage("qemu-user-static", "qemu-aarch64-static")
#: With QEMU's default, which has every extension, XNNPACK chooses kernels that take eight times as
#: long to emulate.
CPU = "cortex-a76"

#: What an Arm program begins with (64-bit, little-endian, executable or shared, EM_AARCH64), as
#: binfmt_misc reads it. P: the program's own argv[0] is kept. F: QEMU is opened now, outside.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_ENTER = """
mount -t binfmt_misc none "$1" && cat "$2" > "$1/register" || {
  echo "binfmt_misc cannot be set up in a user namespace" >&2; exit 125; }
shift 2; exec "$@"
"""
#: Inference libraries read this file, which QEMU 7 passes on from the host.
_PROCESSOR = """processor\t: {number}
BogoMIPS\t: 48.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc \
dcpop asimddp ssbs
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0b
CPU revision\t: 1

"""


def native_abi() -> str:
    """The ABI of this machine, in Android's spelling."""
    return ABIS.get(platform.machine(), platform.machine())


def is_emulated(abi: str) -> bool:
    """Whether programs of an ABI need QEMU here.

    Raises:
        LoopbackError: they cannot be had here at all.
    """
    if abi == native_abi():
        return False
    if abi != ARM64:
        raise LoopbackError(f"no device runs {abi} programs here", f"name {ARM64}")
    return True


def prepare(run: Path) -> None:
    """Writes what `enter` and `bindings` name."""
    (run / "binfmt").mkdir()
    qemu = shutil.which(QEMU.provides)
    (run / "binfmt.entry").write_text(f":pwl-arm64:M::{_MAGIC}:{_MASK}:{qemu}:FP")
    processors = (_PROCESSOR.format(number=number) for number in range(os.cpu_count() or 1))
    (run / "cpuinfo").write_text("".join(processors))


def enter(run: Path) -> list[str]:
    """Words before a command by which it, and all below it, can start Arm programs."""
    namespaces = ["unshare", "--user", "--map-root-user", "--mount"]
    return [*namespaces, "sh", "-c", _ENTER, "sh", str(run / "binfmt"), str(run / "binfmt.entry")]


def bindings(run: Path) -> list[str]:
    """Bubblewrap's words by which the device's programs see an Arm processor."""
    return ["--ro-bind", str(run / "cpuinfo"), "/proc/cpuinfo", "--setenv", "QEMU_CPU", CPU]
