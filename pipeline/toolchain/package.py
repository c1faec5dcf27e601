"""A harness package: the native program for one ABI, with all that it needs to run.

A folder with harness.json, the program, and for Linux targets the shared libraries and the dynamic
loader, so that it runs whatever C library the device has. An Android build (NDK, static C++
library) has neither and is described by the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.toml_file import Section

DESCRIPTION = "harness.json"

AGAIN = (
    "build the package again (scripts/build-harness), or leave --harness out, which builds one for "
    "the device"
)


class PackagedFile(Section):
    """A file of a package, by its path below the package."""

    path: str
    sha256: str
    executable: bool


class PackageDescription(Section):
    """harness.json.

    Attributes:
        target: name of the target that it was built for, such as ``linux-arm64``.
        abi: in Android's spelling.
        engines: name and version of the inference library, by the backend that it runs.
        program: path of the harness.
        litert: path of libLiteRt.so, if it brings one; only LiteRT bundles need it.
        loader: path of a dynamic loader to start it with, if it brings one.
        libraries: folder of its shared libraries, if it brings some.
        files: every file but harness.json.
    """

    schema_version: Literal[1] = 1
    target: str
    abi: str
    engines: Mapping[str, str]
    program: str
    litert: str | None
    loader: str | None
    libraries: str | None
    files: tuple[PackagedFile, ...]


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a package as it lies on this machine."""

    source: Path
    sha256: str
    executable: bool


class Package:
    """A package on this machine's disk whose files have been checked.

    Attributes:
        root: its folder.
        description: its harness.json.
        files: by path below the package.
    """

    def __init__(self, root: Path, litert_library: Path | None = None) -> None:
        """Reads a package.

        Args:
            root: its folder.
            litert_library: a libLiteRt.so to take instead of the package's own.

        Raises:
            UsageError: `root` holds none, or `litert_library` is not there.
            IntegrityError: a file is missing or is not what harness.json says.
        """
        self.root = root
        path = root / DESCRIPTION
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            self.description = PackageDescription.model_validate(data)
        except OSError as error:
            raise UsageError(
                f"{path}: {error.strerror}", "name a folder that the harness was built into"
            ) from None
        except (ValueError, ValidationError) as error:
            raise IntegrityError(f"{path} is not valid: {error}", AGAIN) from None
        for file in self.description.files:
            found = root / file.path
            if not found.is_file() or sha256_of(found) != file.sha256:
                state = "is damaged" if found.is_file() else "is missing"
                raise IntegrityError(f"{found} {state}", AGAIN)
        self.files = {
            file.path: PackageFile(root / file.path, file.sha256, file.executable)
            for file in self.description.files
        }
        if litert_library is not None:
            self._take_litert(litert_library)

    def _take_litert(self, library: Path) -> None:
        if not library.is_file():
            raise UsageError(f"{library}: no such file", "name a libLiteRt.so for the device's ABI")
        path = self.description.litert or "libLiteRt.so"
        digest = sha256_of(library)
        self.files[path] = PackageFile(library, digest, executable=False)
        engines = {**self.description.engines, "litert": f"litert {library.name} {digest[:12]}"}
        self.description = self.description.model_copy(update={"engines": engines, "litert": path})

    def files_for(self, backend: str) -> dict[str, PackageFile]:
        """What a bundle of that backend needs of it.

        Raises:
            UsageError: it has no engine for that backend.
        """
        if backend not in self.description.engines:
            raise UsageError(
                f"the harness in {self.root} has no engine for {backend}",
                "name a libLiteRt.so with --litert-library"
                if backend == "litert"
                else "build the harness with that engine",
            )
        spare = self.description.litert if backend != "litert" else None
        return {path: file for path, file in self.files.items() if path != spare}

    def runtime_id(self, backend: str) -> str:
        """The sha256 of all that has a part in running programs of a backend."""
        files = sorted((path, file.sha256) for path, file in self.files_for(backend).items())
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def command(self, root: PurePosixPath) -> list[str]:
        """How the harness is started on a device where the package lies in `root`."""
        described = self.description
        start: list[str] = []
        if described.loader:
            start.append(str(root / described.loader))
            if described.libraries:
                start += ["--library-path", str(root / described.libraries)]
        return [*start, str(root / described.program)]
