"""A pretrained model as a folder of files: one on this machine, or fetched from Hugging Face's hub.

Nothing that lies in it is run: code of a model's author is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.core.errors import UsageError, first_lines
from pipeline.core.progress import Progress
from pipeline.core.toml_file import PATH_RULE
from pipeline.settings import TaskKind

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
#: The files of weights, each alone or as the index of several; the first that is there is read.
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
#: What is fetched of a model of the hub, and what beside it where that leaves no weights.
_FILES = (CONFIG, PREPROCESSOR, "model*.safetensors", "model.safetensors.index.json")
_MORE_FILES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_HUB_NAME = re.compile(r"(?P<name>(?:\w[\w.-]*/)?\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?")

_Config = TypeVar("_Config", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ModelLibrary:
    """A library that gives models their code, and saves them in folders.

    Attributes:
        name: its package, and what a profile's source begins with.
        folder: what a folder of it is, in words.
        saving: the line of code that saves a model there.
        installing: the line that installs it.
        require_model: refuses the config.json of what has no answer to the task; None: to any.
        hub_name: what the hub calls a model that a profile names without a folder.
    """

    name: str
    folder: str
    saving: str
    installing: str
    require_model: Callable[[Path, TaskKind | None], None]
    hub_name: Callable[[str], str]

    def missing(self, place: str) -> UsageError:
        """What to say where it is not installed."""
        return UsageError(
            f"{self.name}:{place} needs the package `{self.name}`, which is not installed",
            self.installing,
        )


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that holds a model of images; `find` makes sure that its files are there.

    Attributes:
        place: as the profile names it.
        path: where it is.
        pickled: whether there are no safetensors, only what `torch.save` wrote.
        library: whose model it is.
    """

    place: str
    path: Path
    pickled: bool
    library: ModelLibrary

    @classmethod
    def find(cls, place: str, library: ModelLibrary, task: TaskKind | None) -> ModelFolder:
        """The folder of a path, or of a name of the hub, which is fetched if it is not kept yet.

        Args:
            place: what follows ``KIND:``.
            library: whose model it is.
            task: what it is to answer; None: nobody said it yet.

        Raises:
            UsageError: there is no such folder or name, the hub cannot be reached, or what is
                there is no model for that task with its weights.
        """
        path = Path(place)
        if not path.is_dir():
            if path.exists() or not (name := _HUB_NAME.fullmatch(place)):
                problem = "not a folder" if path.exists() else "no such folder"
                raise UsageError(
                    f"{path.absolute()}: {problem}",
                    f"name {library.folder}, or a model of the hub; {PATH_RULE}",
                )
            path = _fetched(library, name["name"], name["revision"])
        if not (path / CONFIG).is_file():
            raise UsageError(f"{path}: there is no {CONFIG} in it", f"name {library.folder}")
        library.require_model(path / CONFIG, task)
        safe, pickled = ([path / name for name in names] for names in (_SAFE, _PICKLED))
        if not any(file.is_file() for file in safe + pickled):
            raise UsageError(
                f"{path}: there are no weights in it, neither {_SAFE[0]} nor {_PICKLED[0]}",
                f"copy the whole folder, or save the model again: {library.saving}",
            )
        return cls(place, path, not any(file.is_file() for file in safe), library)

    @property
    def config(self) -> Path:
        """The file that says which model it is."""
        return self.path / CONFIG

    @property
    def preprocessor(self) -> Path | None:
        """The file that says how images were made ready, where there is one."""
        path = self.path / PREPROCESSOR
        return path if path.is_file() else None

    def tell_weights(self, progress: Progress) -> None:
        """Says so where its weights are pickled."""
        if self.pickled:
            progress.say(
                f"{self.place} holds no safetensors: its weights are read with weights_only, "
                "which runs nothing that somebody wrote into them"
            )

    def unreadable(self, error: Exception) -> UsageError:
        """What to say of whatever its library meets in files of other people."""
        return UsageError(
            f"{self.path}: the {self.library.name} library cannot read it: "
            f"{type(error).__name__}: {first_lines(error)}",
            f"copy the whole folder, or save the model again: {self.library.saving}",
        )

    def incomplete(self, why: str) -> UsageError:
        """What to say where tensors of the model are not in its files as they should be."""
        return UsageError(
            f"{self.path}: its weights are not those of its config.json: {why}",
            "name the folder of a model that was trained to classify images, or for what [task] "
            "asks, whole",
        )


def read_config(path: Path, kind: type[_Config], remedy: str) -> _Config:
    """A config.json.

    Raises:
        UsageError: it cannot be read or holds something else; with that remedy.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "correct it") from None
    except ValidationError as error:
        raise invalid_config(path, error, remedy) from None


def source_name(folder: Path) -> str:
    """What names a folder in a profile: its path; of one that the hub's library keeps, the model's
    name, for what lies beside its snapshots is nobody's to name.
    """
    kept = folder.parent.parent.name
    if folder.parent.name == "snapshots" and kept.startswith("models--"):
        return kept.removeprefix("models--").replace("--", "/")
    return str(folder)


def invalid_config(path: Path, error: ValidationError, remedy: str) -> UsageError:
    """What to say of a file that holds something else than it should."""
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"])) or "the file"
    said = str(problem["msg"]).removeprefix("Value error, ")
    return UsageError(f"{path}: {place}: {said}", remedy)


@cache  # a command asks several times, and means the same files
def _fetched(library: ModelLibrary, name: str, revision: str | None) -> Path:
    """The folder in which Hugging Face's library keeps a model of the hub."""
    try:
        import huggingface_hub as hub
    except ImportError:
        raise library.missing(name) from None
    repository = library.hub_name(name)
    try:
        path = Path(hub.snapshot_download(repository, revision=revision, allow_patterns=[*_FILES]))
        if not any((path / file).is_file() for file in _SAFE):
            more = [*_FILES, *_MORE_FILES]
            path = Path(hub.snapshot_download(repository, revision=revision, allow_patterns=more))
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        raise UsageError(
            f"{name}: no folder here, and no model of the hub that can be read: "
            f"{first_lines(error)}",
            f"correct the name; for a model that is not public: hf auth login; {PATH_RULE}",
        ) from None
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise UsageError(
            f"{name}: no folder here, and it cannot be fetched from the hub: {first_lines(error)}",
            f"where there is no network, copy {library.folder} and name that; {PATH_RULE}",
        ) from None
    return path
