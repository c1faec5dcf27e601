"""The inference libraries that a harness is built with: those of every backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.settings import BACKENDS


@dataclass(frozen=True, slots=True)
class Engines:
    """The inference library of each backend, by the backend's name.

    Attributes:
        names: name and version, as reports call them.
        folders: where their files lie.
    """

    names: Mapping[str, str]
    folders: Mapping[str, Path]

    @classmethod
    def installed(cls) -> Engines:
        """Those of the Python packages that are installed.

        Raises:
            UsageError: one of them is not.
        """
        runtimes = {name: spec.runtime for name, spec in BACKENDS.items()}
        folders = {name: _installed(runtime.folder) for name, runtime in runtimes.items()}
        return cls(
            _named({one.package: version(one.package) for one in runtimes.values()}), folders
        )

    @classmethod
    def unpacked(cls, wheels: Path, versions: Mapping[str, str]) -> Engines:
        """Those of wheels for another machine.

        Args:
            wheels: the folder that these were unpacked into.
            versions: of the Python packages.
        """
        folders = {name: wheels / spec.runtime.folder for name, spec in BACKENDS.items()}
        return cls(_named(versions), folders)

    @property
    def opened(self) -> dict[str, Path]:
        """The libraries that the harness opens while it runs; all others are linked."""
        return {
            name: folder / opened
            for name, folder in self.folders.items()
            if (opened := BACKENDS[name].runtime.opened)
        }


def _named(versions: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{name} {versions[spec.runtime.package]}" for name, spec in BACKENDS.items()}


def _installed(package: str) -> Path:
    """The folder of a Python package, which is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the package {package} is not installed", "pip install -e .")
    return Path(next(iter(spec.submodule_search_locations)))
