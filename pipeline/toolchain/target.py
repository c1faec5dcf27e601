"""What a harness is built for: an ABI, an operating system and, for Android, an API level."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.core.errors import DeviceError, UsageError

_ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a", "arm64": "arm64-v8a"}
#: The lowest level that ExecuTorch's Android build is made for.
_LOWEST_API = 26
_WITH_API = re.compile(r"(?P<name>android-[a-z0-9_]+?)(?:-(?P<api>\d{2}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of device that programs are compiled for.

    Attributes:
        abi: in Android's spelling.
        os: whose C library programs are linked with: ``linux`` is glibc, ``android`` is bionic.
        api: lowest Android API level; None for Linux.
    """

    abi: str
    os: Literal["linux", "android"]
    api: int | None = None

    @classmethod
    def host(cls) -> Target:
        """The machine that runs this."""
        machine = platform.machine()
        return cls(_ABIS.get(machine, machine), "linux")

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads ``host``, ``linux-arm64``, ``android-arm64`` or, with another API level than
        26, ``android-arm64-29``.

        Raises:
            UsageError: it names no target.
        """
        if target := targets().get(text):
            return target
        match = _WITH_API.fullmatch(text)
        known = targets().get(match["name"]) if match else None
        if match is None or known is None:
            raise UsageError(
                f"{text!r} is no target", f"name one of {', '.join(targets())}, such as linux-arm64"
            )
        api = int(match["api"])
        if api < _LOWEST_API:
            raise UsageError(
                f"{text}: ExecuTorch has no Android build below API level {_LOWEST_API}",
                f"name {match['name']}-{_LOWEST_API} or a higher one",
            )
        return replace(known, api=api)

    @property
    def name(self) -> str:
        """As `parse` takes it; this machine is ``host``, whatever it is otherwise called."""
        for name, target in targets().items():
            if target == self:
                return name
        for name, target in targets().items():
            if replace(target, api=self.api) == self:
                return f"{name}-{self.api}"
        return f"{self.os}-{self.abi}"


def targets() -> dict[str, Target]:
    """Every target by its name."""
    return {
        "host": Target.host(),
        "linux-arm64": LINUX_ARM64,
        "android-arm64": Target("arm64-v8a", "android", _LOWEST_API),
        "android-x86_64": Target("x86_64", "android", _LOWEST_API),
    }


LINUX_ARM64 = Target("arm64-v8a", "linux")


def target_for(abi: str, system: str) -> Target:
    """The target whose harness runs on a device and can be built without an NDK.

    On Android, too, a program for Linux runs from the shell, with the C library and the loader that
    its package brings.

    Args:
        abi: what the device runs, in Android's spelling.
        system: its operating system, for a person.

    Raises:
        DeviceError: no harness is built for that ABI.
    """
    for target in (Target.host(), LINUX_ARM64):
        if abi == target.abi:
            return target
    ours = " and ".join(sorted({LINUX_ARM64.abi, Target.host().abi}))
    raise DeviceError(
        f"the device ({system}) runs {abi} programs, and harnesses are built for {ours}",
        "PWL needs a 64-bit device; for another ABI, build a package and name it with --harness",
    )
