"""Fetches Debian packages and all that they depend on, apart from the host's own apt."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loopback.errors import LoopbackError
from loopback.host import KEYRING

#: One release, so that every device is made of the same packages.
SUITE = "trixie"
#: Settings of the host's apt by which packages are reached; none by which less is verified.
FROM_HOST = re.compile("Acquire::(https?::|Retries |ForceIPv[46] |Check-Date |Check-Valid-Until )")
FALLBACK_MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True)
class Deb:
    """A package file as it was fetched."""

    name: str
    version: str
    sha256: str
    file: Path


def host_architecture() -> str:
    """The host's architecture in Debian's spelling, such as ``amd64``."""
    return _output(["dpkg", "--print-architecture"]).strip()


def fetch(packages: Sequence[str], folder: Path) -> list[Deb]:
    """Downloads the packages and their dependencies into ``folder``; apt checks the signatures."""
    folder.mkdir(parents=True)
    for name in ("lists/partial", "archives/partial", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()  # nothing is installed: the whole closure is fetched
    (folder / "sources.list").write_text(
        f"deb [arch={host_architecture()} signed-by={KEYRING}] {_mirror()} {SUITE} main\n"
    )
    config = folder / "apt.conf"
    config.write_text(_configuration(folder))
    environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
    for arguments in (["update"], ["install", "--yes", "--download-only", *packages]):
        done = subprocess.run(
            ["apt-get", "--quiet", *arguments], env=environment, capture_output=True, text=True
        )
        # "update" ends with 0 even when nothing could be fetched: its warnings tell.
        if done.returncode != 0 or "Failed to fetch" in done.stderr:
            raise LoopbackError(
                f"apt-get {arguments[0]} of Debian {SUITE} failed:\n{done.stderr.strip()}",
                f"check that {_mirror()} is reachable and that debian-archive-keyring is current",
            )
    return sorted(map(_describe, (folder / "archives").glob("*.deb")), key=lambda deb: deb.name)


def _configuration(folder: Path) -> str:
    """An apt.conf of its own: the host's way to the network, and none of its hooks or lists."""
    dump = _output(["apt-config", "dump", "--format", '%F "%V";%n', "Acquire"])
    kept = [line for line in dump.splitlines() if FROM_HOST.match(line)]
    settings = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Log": folder / "log",
        "APT::Architecture": host_architecture(),
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # the user _apt may not be able to reach the folder
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    return "\n".join([*kept, *(f'{key} "{value}";' for key, value in settings.items()), ""])


def _mirror() -> str:
    """The Debian mirror that a Debian host uses already, else the public one."""
    release = Path("/etc/os-release")
    if release.exists() and re.search(r'^ID="?debian"?$', release.read_text(), re.MULTILINE):
        uris = _output(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).split()
        for uri in uris:
            if re.search("/debian/?$", uri):
                return uri.rstrip("/")
    return FALLBACK_MIRROR


def _describe(file: Path) -> Deb:
    fields = _output(["dpkg-deb", "--show", "--showformat", "${Package} ${Version}", str(file)])
    name, version = fields.split()
    return Deb(name, version, hashlib.sha256(file.read_bytes()).hexdigest(), file)


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise LoopbackError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
