"""Features of all training images in one place, in memory or on disk, in the same layout."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import torch
from torch import Tensor

from pipeline.core.errors import DeviceError
from pipeline.core.formatting import size
from pipeline.core.memory import available_memory
from pipeline.core.progress import Progress
from pipeline.settings import FeatureStorage
from pipeline.training.gpu import free_on_gpu

#: What features may take of the memory that is available: activations need the rest.
_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class FeatureKeeping:
    """Where the features of a training are kept until it ends.

    Attributes:
        storage: as the profile has it.
        folder: where files may be made; they have no name there, and end with the process.
        progress: told what was chosen.
        processes: that share this machine's memory.
    """

    storage: FeatureStorage
    folder: Path
    progress: Progress
    processes: int = 1

    def place_for(self, count: int, first: Sequence[Tensor]) -> FeaturePlace:
        """Room for features, part for part.

        Args:
            count: images.
            first: the features of some of them.

        Raises:
            DeviceError: there is no such room.
        """
        needed = sum(count * output[0].numel() * output.element_size() for output in first)
        if self.storage == "disk":
            return _OnDisk(self.folder, count, needed, first)
        device = first[0].device
        if needed <= _SHARE * free_on_gpu(device):
            return _InMemory(count, first, device)
        left = available_memory() // self.processes
        if self.storage == "memory" or needed <= _SHARE * left:
            return _InMemory(count, first, torch.device("cpu"))
        self.progress.say(
            f"the teacher's features take {size(needed)}, and {size(left)} of memory are "
            f"available: they are kept in {self.folder} until the training ends"
        )
        return _OnDisk(self.folder, count, needed, first)


class FeaturePlace(Protocol):
    """Takes features in the order of the images, and gives them back all at once."""

    def add(self, outputs: Sequence[Tensor]) -> None:
        """Takes the features of the next images."""
        ...

    def features(self) -> list[Tensor]:
        """Part for part those of all images, ``[n, ...]``."""
        ...


class _InMemory:
    def __init__(self, count: int, first: Sequence[Tensor], device: torch.device) -> None:
        self._kept = [
            output.new_empty_strided((count, *output.shape[1:]), _strides(output), device=device)
            for output in first
        ]
        self._filled = 0

    def add(self, outputs: Sequence[Tensor]) -> None:
        end = self._filled + len(outputs[0])
        for kept, output in zip(self._kept, outputs, strict=True):
            kept[self._filled : end] = output
        self._filled = end

    def features(self) -> list[Tensor]:
        return self._kept


class _OnDisk:
    """Files without names: the system removes them with the last that uses them, however it ends.

    They are written, not mapped at first: a disk that is full is told as an error then.
    """

    def __init__(self, folder: Path, count: int, needed: int, first: Sequence[Tensor]) -> None:
        self._folder, self._needed, self._count = folder, needed, count
        self._layouts = [(output.shape[1:], _strides(output), output.dtype) for output in first]
        with self._in_words():
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < needed:
                raise self._too_large(f"{size(free)} are free")
            self._files: list[IO[bytes]] = [_nameless_file(folder) for _ in first]

    def add(self, outputs: Sequence[Tensor]) -> None:
        for file, output, (_, strides, dtype) in zip(
            self._files, outputs, self._layouts, strict=True
        ):
            dense = torch.empty_strided(output.shape, strides, dtype=dtype)
            dense.copy_(output)
            values = dense.as_strided((dense.numel(),), (1,)).view(torch.uint8)
            with self._in_words():
                file.write(values.numpy().data)

    def features(self) -> list[Tensor]:
        found = []
        for file, (shape, strides, dtype) in zip(self._files, self._layouts, strict=True):
            with self._in_words():
                file.flush()
                # Shared, though nothing is written: of private pages the system counts each.
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE)
                file.close()
            values = torch.frombuffer(mapped, dtype=dtype)
            found.append(values.as_strided((self._count, *shape), strides))
        return found

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._too_large(error.strerror or str(error)) from error

    def _too_large(self, why: str) -> DeviceError:
        return DeviceError(
            f"the teacher's features take {size(self._needed)}, which are to be kept in "
            f"{self._folder} while the student is trained: {why}",
            "make room there, name another folder with --cache, or compute them anew in each "
            'epoch: teacher_features = "recompute" in [training]',
        )


def _nameless_file(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _strides(output: Tensor) -> tuple[int, ...]:
    """Those of many such batches as one tensor."""
    return torch.cat([output, output]).stride()
