"""The shared libraries that programs need, found in folders of another machine's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import DeviceError
from pipeline.toolchain.elf import MACHINES, Elf


def closure(roots: Sequence[Path], folders: Sequence[Path], abi: str) -> dict[str, Path]:
    """The libraries that programs and libraries ask for, and those that these ask for.

    Args:
        roots: programs and libraries.
        folders: where libraries are looked for, the first one first.
        abi: what all of them have to be for.

    Returns:
        The file of each library by the name that others ask for.

    Raises:
        DeviceError: a library is nowhere, or only for other processors.
    """
    found: dict[str, Path] = {}
    asking = list(roots)
    while asking:
        binary = asking.pop()
        for name in Elf.read(binary).needed:
            if name not in found:
                found[name] = _find(name, folders, abi, binary)
                asking.append(found[name])
    return found


def _find(name: str, folders: Sequence[Path], abi: str, asking: Path) -> Path:
    there = [folder / name for folder in folders if (folder / name).is_file()]
    for path in there:
        if Elf.read(path).machine == MACHINES[abi]:
            return path.resolve()
    where = f"only for other processors: {there[0]}" if there else "nowhere"
    raise DeviceError(
        f"{asking.name} needs {name}, which is {where}",
        f"install the package that it is in; looked for in {', '.join(map(str, folders))}",
    )
