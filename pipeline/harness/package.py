"""A harness package: the native program for one ABI, with all that it needs to run.

A folder with harness.json, the program, and for Linux targets the shared libraries and the dynamic
loader, so that it runs whatever C library the device has. An Android build (NDK, static C++
library) has neither and is described by the same file.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from pipeline.errors import IntegrityError, UsageError
from pipeline.files import sha256_of
from pipeline.section import Section

DESCRIPTION = "harness.json"


class PackagedFile(Section):
    """A file of a package, by its path below the package."""

    path: str
    sha256: str
    executable: bool


class PackageDescription(Section):
    """harness.json.

    Attributes:
        abi: in Android's spelling.
        engine: name and version of the runtime inside.
        program: path of the harness.
        loader: path of a dynamic loader to start it with, if it brings one.
        libraries: folder of its shared libraries, if it brings some.
        files: every file but harness.json.
    """

    schema_version: Literal[1] = 1
    abi: str
    engine: str
    program: str
    loader: str | None
    libraries: str | None
    files: tuple[PackagedFile, ...]


class Package:
    """A package on this machine's disk whose files have been checked."""

    def __init__(self, root: Path) -> None:
        """Reads a package.

        Raises:
            UsageError: `root` holds none.
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
            raise IntegrityError(
                f"{path} is not valid: {error}", "build the harness again"
            ) from None
        for file in self.description.files:
            found = root / file.path
            if not found.is_file() or sha256_of(found) != file.sha256:
                state = "is damaged" if found.is_file() else "is missing"
                raise IntegrityError(f"{found} {state}", "build the harness again")

    def command(self, root: PurePosixPath) -> list[str]:
        """How the harness is started on a device where the package lies in `root`."""
        described = self.description
        start: list[str] = []
        if described.loader:
            start.append(str(root / described.loader))
            if described.libraries:
                start += ["--library-path", str(root / described.libraries)]
        return [*start, str(root / described.program)]
