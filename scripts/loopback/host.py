"""What this machine must have: a few system packages, and user namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loopback.errors import LoopbackError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class HostPackage:
    """A system package, and the command or file by which its presence is seen."""

    name: str
    provides: str

    @property
    def present(self) -> bool:
        if self.provides.startswith("/"):
            return Path(self.provides).exists()
        return shutil.which(self.provides) is not None


#: To run a device that is set up.
TO_RUN = (
    HostPackage("bubblewrap", "bwrap"),
    HostPackage("mount", "mount"),
    HostPackage("util-linux", "setpriv"),
    HostPackage("util-linux", "unshare"),
)
#: To set one up.
TO_SET_UP = (
    *TO_RUN,
    HostPackage("apt", "apt-get"),
    HostPackage("debian-archive-keyring", str(KEYRING)),
    HostPackage("dpkg", "dpkg"),
    HostPackage("g++", "g++"),
    HostPackage("tar", "tar"),
)

#: Switches by which a kernel forbids user namespaces: the value that forbids, and the cure.
NAMESPACE_SWITCHES = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu 23.10 and later
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian before 11
    ("user/max_user_namespaces", "0", "15000"),
)


def require(packages: Iterable[HostPackage]) -> None:
    """Makes sure that the packages are there; installs what is missing when run by root."""
    missing = sorted({package.name for package in packages if not package.present})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise LoopbackError(
            f"the loopback device needs {', '.join(missing)}",
            "it is made from Debian packages: use a Debian or Ubuntu machine or container",
        )
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise LoopbackError(
            f"the loopback device needs packages that are not installed: {', '.join(missing)}",
            f"sudo {' '.join(command)}",
        )
    print(f"loopback-device: installing {' '.join(missing)} with apt-get", file=sys.stderr)
    if not (_apt(command) or (_apt(["apt-get", "update"]) and _apt(command))):
        raise LoopbackError(
            f"apt-get could not install {', '.join(missing)}",
            f"see its messages above; then: {' '.join(command)}",
        )


def _apt(command: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Its chatter must not mix with the one line on standard output that scripts read.
    return subprocess.run(command, stdout=sys.stderr, env=environment).returncode == 0


def sandbox_refused(message: str) -> LoopbackError:
    """Turns what bubblewrap said on failing into an error that names the cause."""
    for switch, forbidding, cure in NAMESPACE_SWITCHES:
        try:
            value = Path("/proc/sys", switch).read_text().strip()
        except OSError:
            continue
        if value == forbidding:
            name = switch.replace("/", ".")
            return LoopbackError(
                f"this machine forbids user namespaces ({name} = {value}): {message}",
                f"sudo sysctl -w {name}={cure}   (until the next boot)",
            )
    if "binfmt_misc" in message:
        return LoopbackError(
            f"this kernel starts no other processor's programs: {message}",
            "Linux 6.7 or later is needed, with binfmt_misc (modprobe binfmt_misc)",
        )
    if "Unknown option" in message:
        return LoopbackError(f"this bubblewrap is too old: {message}", "install 0.8 or later")
    return LoopbackError(
        f"the sandbox did not start: {message}",
        "it needs user namespaces, which containers often forbid (docker run --privileged)",
    )
