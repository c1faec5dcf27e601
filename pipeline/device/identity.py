"""Which device it really is, whatever name led there, and whose processor it runs on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.device.base import Device, DeviceProperties, device_task
from pipeline.device.guards import emulator_mark
from pipeline.device.state.kernel import facts

#: Where Linux keeps a number that is made anew at every start of the kernel.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROBE = f"""
read boot < {_BOOT_ID} && echo "boot $boot"
place=$(stat -c %d:%i "$1") && echo "place $place"
exit 0
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """A device as it is, not as it is called. Empty where it does not say.

    Attributes:
        kernel: changes with every start of the device; the same for all that share a kernel.
        place: of its working folder, unique for the kernel: device and inode number.
        virtual: whether it is an emulator, with a kernel of its own on another's processor.
    """

    kernel: str
    place: str
    virtual: bool = False

    @property
    def known(self) -> bool:
        """Whether another name for the same device would be noticed."""
        return bool(self.kernel and self.place)

    @property
    def is_here(self) -> bool:
        """Whether what runs there takes processor time of this machine.

        An emulator counts as one of this machine, wherever its window is: nothing tells.
        """
        return self.virtual or (bool(self.kernel) and self.kernel == this_kernel())


def identify(device: Device, properties: DeviceProperties) -> Identity:
    """Asks a device which one it is.

    Args:
        device: the device, whose working folder is made.
        properties: what it says of itself.

    Raises:
        DeviceError: it is gone, or its folder cannot be worked in.
    """
    argv = ["sh", "-c", _PROBE, "sh", str(device.workdir)]
    with device_task(f"asking {device.spec} which device it is"):
        done = device.run(argv, deadline_s=30.0)
    known = dict(facts(done.stdout.decode(errors="replace")))
    return Identity(
        known.get("boot", ""),
        known.get("place", ""),
        properties.serial.startswith("emulator-") or emulator_mark(properties) is not None,
    )


def this_kernel() -> str:
    """The number of this machine's kernel; empty where it has none."""
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""
