"""Files of Debian packages, of any release, without installing them: kept below build/android."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.fixtures import ROOT, locked

PLACE = ROOT / "build" / "android"
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def packaged_file(release: str, package: str, file: str) -> Path | None:
    """A file of a package; None where the release cannot be reached."""
    root = PLACE / package
    PLACE.mkdir(parents=True, exist_ok=True)
    with locked(PLACE / f"{package}.lock"):
        if not (root / file).exists() and not _unpack(release, package, root):
            return None
    return root / file


def _unpack(release: str, package: str, root: Path) -> bool:
    if shutil.which("apt-get") is None or not _KEYS.exists():
        return False
    work = PLACE / f"{package}.download"
    shutil.rmtree(work, ignore_errors=True)
    (work / "lists" / "partial").mkdir(parents=True)
    source = f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {release} main\n"
    (work / "sources.list").write_text(source)
    apt = [
        *("apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={work}/sources.list"),
        *("-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::Lists={work}/lists"),
        *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    ]
    for command in ([*apt, "update"], [*apt, "download", package]):
        if subprocess.run(command, cwd=work, capture_output=True, check=False).returncode:
            return False
    (archive,) = work.glob("*.deb")
    subprocess.run(["dpkg", "-x", archive, root], check=True)
    shutil.rmtree(work)
    return True
