"""What goes into a harness package, and a package that is built only when something changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.atomic_files import replacing_folder, sha256_of, write_text
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.locks import using_folder
from pipeline.core.progress import Progress
from pipeline.toolchain.cmake import PROGRAM
from pipeline.toolchain.package import DESCRIPTION, Package, PackageDescription, PackagedFile
from pipeline.toolchain.target import Target

_PACKAGE, _RECORD, _LIBRARIES = "package", "built.json", "lib"


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a package. One for Android has the program alone.

    Attributes:
        target: what it is for.
        engines: name and version of the inference library, by the backend that it runs.
        program: the harness.
        libraries: every shared library by the name that others ask for.
        opened: by backend, the names of those among them that the harness opens while it runs.
        loader: the dynamic loader, if the device's own is not to be used.
    """

    target: Target
    engines: Mapping[str, str]
    program: Path
    libraries: Mapping[str, Path] = field(default_factory=dict)
    opened: Mapping[str, str] = field(default_factory=dict)
    loader: Path | None = None

    def write(self, package: Path) -> None:
        """Writes the package; what was there is replaced when the new one is whole."""
        content = {PROGRAM: self.program}
        content |= {f"{_LIBRARIES}/{name}": path for name, path in self.libraries.items()}
        loader = f"{_LIBRARIES}/{self.loader.name}" if self.loader else None
        if self.loader and loader:
            content[loader] = self.loader
        with replacing_folder(package) as folder:
            (folder / _LIBRARIES).mkdir()
            files = []
            for name, source in sorted(content.items()):
                target = folder / name
                shutil.copyfile(source, target)
                target.chmod(0o755)
                executable = name in (PROGRAM, loader)
                digest = sha256_of(target)
                files.append(PackagedFile(path=name, sha256=digest, executable=executable))
            description = PackageDescription(
                target=self.target.name,
                abi=self.target.abi,
                engines=self.engines,
                program=PROGRAM,
                opened={name: f"{_LIBRARIES}/{file}" for name, file in self.opened.items()},
                loader=loader,
                libraries=_LIBRARIES if self.libraries else None,
                files=tuple(files),
            )
            text = json.dumps(description.model_dump(mode="json"), indent=1)
            (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def package_of(
    folder: Path, key: str, collect: Callable[[], Contents], progress: Progress
) -> Package:
    """The package in `folder`, made unless it is there and was made from the same.

    Another run that builds in the same folder is waited for.

    Args:
        folder: where it is kept.
        key: what it is made from, as a fingerprint.
        collect: compiles what goes into it.
        progress: told whom it waits for.
    """
    if not _is_built(folder, key):
        with using_folder(folder, "build in another folder, with --work", progress):
            if not _is_built(folder, key):  # not even by a run that was waited for
                collect().write(folder / _PACKAGE)
                write_text(folder / _RECORD, json.dumps({"key": key}))
    return Package(folder / _PACKAGE)


def _is_built(folder: Path, key: str) -> bool:
    """Whether a whole package of that key is there."""
    try:
        if json.loads((folder / _RECORD).read_text(encoding="utf-8")) != {"key": key}:
            return False
        Package(folder / _PACKAGE)
    except (OSError, ValueError, UsageError, IntegrityError):
        return False
    return True
