"""QEMU, from power on to the tests' exit status."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopback.errors import LoopbackError

from usb_machine.initramfs import write_initramfs
from usb_machine.kernel import Kernel, module

HERE = Path(__file__).resolve().parent
#: Seconds from power on to power off: a minute on two processors of 2026.
LIMIT_S = 900
#: Hidden in the machine by a file system of its own, which tests write to.
SCRATCH = Path("/mnt")
_ENDED = re.compile(r"usb_machine: ended with (\d+)")


def run_machine(
    kernel: Kernel, folder: Path, environment: Mapping[str, str], arguments: Sequence[str]
) -> int:
    """Boots, passes on what is said on the console, and returns what `guest` ended with.

    Args:
        kernel: to boot.
        folder: where the archive that it starts with is written.
        environment: of `guest`.
        arguments: of `guest`.

    Raises:
        LoopbackError: the machine did not come so far, or not in time.
    """
    for path in environment.values():
        if Path(path).is_relative_to(SCRATCH):
            raise LoopbackError(
                f"{path} cannot be seen in the virtual machine, which has a {SCRATCH} of its own",
                "work in a checkout elsewhere",
            )
    archive = folder / "initramfs.gz"
    write_initramfs(archive, _files(kernel, environment, arguments))
    status = None
    command = ["timeout", str(LIMIT_S), *_command(kernel, archive)]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=nothing, stdout=pipe, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                if ended := _ENDED.search(line):
                    status = int(ended[1])
                else:
                    print(line, end="", flush=True)
        finally:
            process.terminate()  # it passes that on
    if status is None:
        raise LoopbackError(
            f"the virtual machine said nothing of its end (QEMU: {process.returncode})",
            f"see its words above; it has {LIMIT_S} s",
        )
    return status


def _files(
    kernel: Kernel, environment: Mapping[str, str], arguments: Sequence[str]
) -> dict[str, bytes]:
    settings = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    settings += [f"GUEST={shlex.quote(str(HERE / 'guest'))}", f"set -- {shlex.join(arguments)}", ""]
    busybox = Path(environment["PWL_DEVICE_ROOT"], "system", "bin", "busybox")
    modules = {
        f"modules/{number:02d}-{path.name.removesuffix('.xz')}": module(path)
        for number, path in enumerate(kernel.load_order())
    }
    return {
        "init": (HERE / "init").read_bytes(),
        "settings": "\n".join(settings).encode(),
        "bin/busybox": busybox.read_bytes(),
        **modules,
    }


def _command(kernel: Kernel, archive: Path) -> list[str]:
    # Without KVM, which few containers have, the machine is the same everywhere.
    shared = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
    return [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1500", "-smp", "1"),
        *("-nographic", "-no-reboot", "-nic", "none", "-virtfs", shared),
        *("-kernel", str(kernel.image), "-initrd", str(archive)),
        *("-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off"),
    ]
