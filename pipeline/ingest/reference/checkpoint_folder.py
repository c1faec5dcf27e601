"""A checkpoint folder: where its files are and what they hold. Nothing is ever unpickled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.toml_file import PATH_RULE
from pipeline.ingest.reference.configs import NetworkConfig, parse_config
from pipeline.model.wrapping import PICKLE_DANGER, is_pickle

if TYPE_CHECKING:  # an unchanged build names a checkpoint without torch
    from torch import Tensor

WEIGHTS = "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"
ROLES = ("teacher", "student")
#: Pickles that the Trainer keeps beside the weights.
_NO_WEIGHTS = ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth", "scaler.pt")
_NUMBERED = re.compile(r"checkpoint-([0-9]+)")
_AS_SAFETENSORS = (
    "where you trust the file, save its tensors as safetensors: safetensors.torch.save_file("
    f"torch.load(path, weights_only=True), '{WEIGHTS}'); take the entry 'state_dict' where there "
    "is one"
)

C = TypeVar("C", bound=NetworkConfig)


@dataclass(frozen=True, slots=True)
class ReferenceCheckpoint:
    """A folder with the three files that a model is made of; `find` makes sure that they are there.

    A fourth, preprocessor_config.json, may state how its images were normalized.

    Attributes:
        folder: usually called ``checkpoint-N``.
    """

    folder: Path

    @classmethod
    def find(cls, place: str) -> ReferenceCheckpoint:
        """The checkpoint in a folder, or the newest one, by number, of a folder of checkpoints.

        Raises:
            UsageError: there is none, or a file of it is missing.
        """
        found = cls(_folder(Path(place)))
        for path in (found.weights, *map(found.config_path, ROLES)):
            if not path.is_file():
                raise _missing(path)
        return found

    @property
    def weights(self) -> Path:
        """The file of all tensors."""
        return self.folder / WEIGHTS

    def config_path(self, role: str) -> Path:
        """The file of a network's configuration.

        Args:
            role: ``teacher`` or ``student``.
        """
        return self.folder / f"{role}_config" / "config.json"

    @property
    def preprocessor(self) -> Path | None:
        """The file that states how images were normalized, where there is one."""
        path = self.folder / PREPROCESSOR
        return path if path.is_file() else None

    def fingerprint(self) -> str:
        """Changes with the content of these files, whatever the folder is called.

        Raises:
            UsageError: a file cannot be read.
        """
        try:
            return fingerprint(
                sha256_of(self.weights),
                *(sha256_of(self.config_path(role)) for role in ROLES),
                sha256_of(self.preprocessor) if self.preprocessor else None,
            )
        except OSError as error:
            raise _unreadable(error, self.folder) from None

    def config(self, role: str, kind: type[C]) -> C:
        """A network's configuration.

        Raises:
            UsageError: the file cannot be read, is no JSON or holds wrong values; they are named.
        """
        path = self.config_path(role)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _unreadable(error, path) from None
        return parse_config(data, kind, path)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by key.

        Raises:
            UsageError: the file cannot be read.
            IntegrityError: it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.weights, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except OSError as error:
            raise _unreadable(error, self.weights) from None
        except (SafetensorError, ValueError, RuntimeError, MemoryError) as error:
            if is_pickle(self.weights):
                raise IntegrityError(
                    f"{self.weights}: a file of torch.save or pickle under this name: "
                    f"{PICKLE_DANGER}",
                    _AS_SAFETENSORS,
                ) from None
            raise IntegrityError(
                f"{self.weights}: not a whole safetensors file: {error}",
                "copy the checkpoint again, or name an earlier one",
            ) from None


def _folder(place: Path) -> Path:
    if not place.is_dir():
        if place.is_file() and is_pickle(place):
            raise UsageError(
                f"{place} is a file of torch.save or pickle: {PICKLE_DANGER}",
                f"name a folder with {WEIGHTS}; {_AS_SAFETENSORS}",
            )
        problem = "not a folder" if place.exists() else "no such folder"
        raise UsageError(
            f"{place.absolute()}: {problem}",
            f"name a checkpoint-N folder, which holds {WEIGHTS}, or the folder that it is in; "
            f"{PATH_RULE}",
        )
    try:
        entries = sorted(place.iterdir())
    except OSError as error:
        raise _unreadable(error, place) from None
    if _NUMBERED.fullmatch(place.name) or any(entry.name == WEIGHTS for entry in entries):
        return place
    numbered = [
        (int(match[1]), entry)
        for entry in entries
        if (match := _NUMBERED.fullmatch(entry.name)) and entry.is_dir()
    ]
    if numbered:
        return max(numbered)[1]
    if any(entry.is_file() and is_pickle(entry) for entry in entries):
        return place  # whose missing weights are explained better than a missing checkpoint
    raise UsageError(
        f"{place}: neither a checkpoint, which holds {WEIGHTS}, nor a folder of checkpoint-N",
        "name what the reference implementation's training wrote",
    )


def _missing(path: Path) -> UsageError:
    """What to say of a checkpoint without one of its files."""
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    pickled = [entry.name for entry in beside if entry.is_file() and is_pickle(entry)]
    if path.name == WEIGHTS and pickled:
        pickled.sort(key=lambda name: name in _NO_WEIGHTS)
        return UsageError(
            f"{path.parent} holds {pickled[0]} and no {WEIGHTS}: {PICKLE_DANGER}", _AS_SAFETENSORS
        )
    if path.name == WEIGHTS and (path.parent / f"{WEIGHTS}.index.json").exists():
        return UsageError(
            f"{path.parent}: its weights are in several files", f"save them as one {WEIGHTS}"
        )
    return UsageError(
        f"{path}: no such file", "copy the whole checkpoint, or name one that is complete"
    )


def _unreadable(error: OSError, path: Path) -> UsageError:
    return UsageError(
        f"{error.filename or path}: cannot be read: {error.strerror or error}",
        "correct its permissions",
    )
