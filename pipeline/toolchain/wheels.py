"""Wheels for another machine than this one: fetched by pip, exactly those that are pinned."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.core.atomic_files import replacing_folder
from pipeline.core.children import run
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.progress import Progress

_PINNED = re.compile(r"^([\w-]+)==(\S+) \\\n\s+--hash=sha256:[0-9a-f]{64}$", re.MULTILINE)
_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Wheels:
    """Wheels of one platform.

    Attributes:
        pinned: a requirements file with one sha256 to each version.
        platforms: tags of the platform, as pip takes them.
    """

    pinned: Path
    platforms: tuple[str, ...]

    @property
    def versions(self) -> dict[str, str]:
        """The version of each distribution."""
        return dict(_PINNED.findall(self.pinned.read_text(encoding="utf-8")))

    @property
    def digest(self) -> str:
        """The sha256 of what is pinned."""
        return hashlib.sha256(self.pinned.read_bytes()).hexdigest()

    def require_installed_versions(self) -> None:
        """Makes sure that they are those of the packages that lower programs on this machine.

        Raises:
            UsageError: another version is installed.
        """
        for name, pinned in self.versions.items():
            if (installed := version(name)) != pinned:
                raise UsageError(
                    f"{name} {installed} is installed, and {self.pinned} pins {pinned}",
                    f"pip install {name}=={pinned}, or pin the other version there",
                )

    def unpacked(self, folder: Path, progress: Progress) -> Path:
        """All of them unpacked into one folder below `folder`, fetched unless it is there.

        Raises:
            UsageError: this Python has no pip.
            DeviceError: no package index can be reached, or has them.
            IntegrityError: what was fetched has another sha256.
        """
        target = folder / f"wheels-{self.digest[:12]}"
        if target.is_dir():
            return target
        names = ", ".join(f"{name} {pinned}" for name, pinned in self.versions.items())
        progress.say(f"fetching {names} for {self.platforms[0]}")
        with tempfile.TemporaryDirectory(prefix="pwl-") as scratch:
            self._download(Path(scratch))
            with replacing_folder(target) as new:
                for wheel in sorted(Path(scratch).glob("*.whl")):
                    with zipfile.ZipFile(wheel) as archive:
                        archive.extractall(new)
        return target

    def _download(self, folder: Path) -> None:
        # One Python's wheels whichever runs this: of interest are the C++ libraries in them.
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--require-hashes"),
            *("--implementation=cp", "--python-version=3.11", "--abi=cp311"),
            *(f"--platform={platform}" for platform in self.platforms),
            *("--dest", str(folder), "--requirement", str(self.pinned)),
        ]
        try:
            done = run(command, timeout_s=_SECONDS)
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"pip has not fetched what {self.pinned} pins within {_SECONDS} s",
                "see that the package index answers, and run it again",
            ) from None
        if done.returncode == 0:
            return
        output = done.stderr.strip()[-2000:]
        if "No module named pip" in output:
            raise UsageError(f"{sys.executable} has no pip", f"{sys.executable} -m ensurepip")
        if "DO NOT MATCH THE HASHES" in output:
            raise IntegrityError(
                f"the package index gives other files than {self.pinned} pins:\n{output}",
                "do not use them; see which index pip is set to (pip config list)",
            )
        raise DeviceError(
            f"pip cannot fetch what {self.pinned} pins:\n{output}",
            "see that the package index can be reached (pip config list), and run it again",
        )
