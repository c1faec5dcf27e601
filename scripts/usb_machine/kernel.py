"""Debian's kernel and its modules, fetched and unpacked, not installed."""

from __future__ import annotations

import lzma
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loopback import debs
from loopback.errors import LoopbackError

PACKAGE = "linux-image-amd64"
#: What the machine needs beyond what is built in: the host's files, and both ends of a USB cable.
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "dummy_hcd", "libcomposite", "usb_f_fs")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True)
class Kernel:
    """A kernel that is unpacked below a folder.

    Attributes:
        image: to boot.
        modules: the folder of its modules.
    """

    image: Path
    modules: Path

    @classmethod
    def ensure(cls, folder: Path) -> Kernel:
        """The one in a folder, fetched first where there is none."""
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="building-", dir=folder.parent) as name:
                work = Path(name)
                fetched = debs.fetch([PACKAGE], work / "apt")
                (deb,) = (each for each in fetched if re.match(r"linux-image-\d", each.name))
                command = ["dpkg-deb", "--extract", str(deb.file), str(work / "kernel")]
                subprocess.run(command, check=True)
                (work / "kernel").rename(folder)  # last: a kernel that exists is whole
        (image,) = (folder / "boot").glob("vmlinuz-*")
        (modules,) = (*(folder / "lib/modules").glob("*"), *(folder / "usr/lib/modules").glob("*"))
        return cls(image, modules)

    def load_order(self) -> list[Path]:
        """The files of `WANTED` and of all that they depend on, in the order to load them."""
        files = {_name(path): path for path in self.modules.rglob("*.ko*")}
        built_in = {
            _name(Path(line)) for line in (self.modules / "modules.builtin").read_text().split()
        }
        order: dict[str, Path] = {}
        for name in self._with_needed(WANTED, files, built_in):
            order.setdefault(name, files[name])
        return list(order.values())

    def _with_needed(
        self, names: Iterable[str], files: dict[str, Path], built_in: set[str]
    ) -> Iterator[str]:
        for name in names:
            if name in built_in:
                continue
            if name not in files:
                raise LoopbackError(
                    f"the kernel {self.modules.name} has no module {name}",
                    "it is not made for this: see WANTED in scripts/usb_machine/kernel.py",
                )
            found = _DEPENDS.search(module(files[name]))
            needed = found[1].decode().split(",") if found else []
            yield from self._with_needed(filter(None, map(_plain, needed)), files, built_in)
            yield name


def module(path: Path) -> bytes:
    """The content of a module's file, which may be compressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _name(path: Path) -> str:
    return _plain(path.name.partition(".ko")[0])


def _plain(name: str) -> str:
    """A module's name has no hyphens; its file's may have."""
    return name.replace("-", "_")
