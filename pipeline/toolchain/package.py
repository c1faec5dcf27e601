"""A harness package: the native program for one ABI, with all that it needs to run.

A folder with harness.json, the program, and for Linux targets the shared libraries and the dynamic
loader, so that it runs whatever C library the device has. An Android build (NDK, static C++
library) has neither and is described by the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.schema_version import require_schema_version
from pipeline.core.toml_file import Section
from pipeline.settings import BACKENDS

DESCRIPTION = "harness.json"
SCHEMA_VERSION: Literal[2] = 2

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
        opened: paths of the libraries that the harness opens while it runs, by the backend that
            each is for.
        loader: path of a dynamic loader to start it with, if it brings one.
        libraries: folder of its shared libraries, if it brings some.
        files: every file but harness.json.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    target: str
    abi: str
    engines: Mapping[str, str]
    program: str
    opened: Mapping[str, str]
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

    def __init__(self, root: Path) -> None:
        """Reads the package in a folder.

        Raises:
            UsageError: `root` holds none, or one of another release.
            IntegrityError: a file is missing or is not what harness.json says.
        """
        self.root = root
        path = root / DESCRIPTION
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            require_schema_version(data, SCHEMA_VERSION, path, AGAIN)
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

    def with_libraries(self, libraries: Mapping[str, Path]) -> Package:
        """The same package with other inference libraries than its own, if it has some.

        Args:
            libraries: files by the backend for which the harness opens one while it runs.
        """
        changed, described = copy(self), self.description
        paths = {name: described.opened.get(name, file.name) for name, file in libraries.items()}
        digests = {name: sha256_of(file) for name, file in libraries.items()}
        changed.files = self.files | {
            paths[name]: PackageFile(file, digests[name], executable=False)
            for name, file in libraries.items()
        }
        engines = {
            name: f"{name} {file.name} {digests[name][:12]}" for name, file in libraries.items()
        }
        changed.description = described.model_copy(
            update={
                "engines": {**described.engines, **engines},
                "opened": {**described.opened, **paths},
            }
        )
        return changed

    def files_for(self, backend: str) -> dict[str, PackageFile]:
        """What a bundle of that backend needs of it.

        Raises:
            UsageError: it has no engine for that backend.
        """
        described = self.description
        if backend not in described.engines:
            opened = BACKENDS[backend].runtime.opened if backend in BACKENDS else None
            raise UsageError(
                f"the harness in {self.root} has no engine for {backend}",
                f"name a {opened} with --library" if opened else "build it with that engine",
            )
        spare = {path for name, path in described.opened.items() if name != backend}
        return {path: file for path, file in self.files.items() if path not in spare}

    def runtime_id(self, backend: str) -> str:
        """The sha256 of all that has a part in running programs of a backend."""
        files = sorted((path, file.sha256) for path, file in self.files_for(backend).items())
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def command(self, root: PurePosixPath, backend: str) -> list[str]:
        """How the harness is started for a backend where the package lies in `root` on a device."""
        described = self.description
        start: list[str] = []
        if described.loader:
            start.append(str(root / described.loader))
            if described.libraries:
                start += ["--library-path", str(root / described.libraries)]
        opened = described.opened.get(backend)
        library = ["--library", str(root / opened)] if opened else []
        return [*start, str(root / described.program), *library]
