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
    with locked(PLACE / f"{release}.lock"):
        if not (root / file).exists() and not _unpack(release, package, root):
            return None
    return root / file


def _unpack(release: str, package: str, root: Path) -> bool:
    if shutil.which("apt-get") is None or not _KEYS.exists():
        return False
    lists, work = PLACE / f"{release}.lists", PLACE / f"{package}.download"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    source = f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {release} main\n"
    (work / "sources.list").write_text(source)
    apt = [
        *("apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={work}/sources.list"),
        *("-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::Lists={lists}"),
        *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    ]

    def done(*command: str) -> bool:
        found = subprocess.run([*apt, *command], cwd=work, capture_output=True, check=False)
        return found.returncode == 0

    # Lists of an earlier day may name what is not there any more.
    if not (lists.exists() and done("download", package)):
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        if not (done("update") and done("download", package)):
            return False
    (archive,) = work.glob("*.deb")
    subprocess.run(["dpkg", "-x", archive, root], check=True)
    shutil.rmtree(work)
    return True
