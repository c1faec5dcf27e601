"""A pretrained model as a folder of files: one on this machine, or fetched from Hugging Face's hub.

Nothing that lies in it is run: code of a model's author is never looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.errors import UsageError, first_lines
from pipeline.core.toml_file import PATH_RULE

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
#: The files of weights, each alone or as the index of several; the first that is there is read.
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
#: What is fetched of a model of the hub, and what beside it where that leaves no weights.
_FILES = (CONFIG, PREPROCESSOR, "model*.safetensors", "model.safetensors.index.json")
_MORE_FILES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_HUB_NAME = re.compile(r"(?P<name>(?:\w[\w.-]*/)?\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?")
_WHAT = "a folder as save_pretrained writes it, with config.json and model.safetensors"
_CLASSIFIES = "ForImageClassification"


class ModelConfig(BaseModel):
    """What of a config.json says which model it is.

    Attributes:
        model_type: as the library calls its code.
        architectures: the classes that the weights were saved from, if it says.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_type: str
    architectures: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that holds an image classifier; `find` makes sure that its files are there.

    Attributes:
        place: as the profile names it.
        path: where it is.
        pickled: whether there are no safetensors, only what `torch.save` wrote.
    """

    place: str
    path: Path
    pickled: bool

    @classmethod
    def find(cls, place: str) -> ModelFolder:
        """The folder of a path, or of a name of the hub, which is fetched if it is not kept yet.

        Raises:
            UsageError: there is no such folder or name, the hub cannot be reached, or what is
                there is no image classifier with its weights.
        """
        path = Path(place)
        if not path.is_dir():
            if path.exists() or not (name := _HUB_NAME.fullmatch(place)):
                problem = "not a folder" if path.exists() else "no such folder"
                raise UsageError(
                    f"{path.absolute()}: {problem}",
                    f"name {_WHAT}, or a model of the hub; {PATH_RULE}",
                )
            path = _fetched(name["name"], name["revision"])
        if not (path / CONFIG).is_file():
            raise UsageError(f"{path}: there is no {CONFIG} in it", f"name {_WHAT}")
        _require_classifier(path / CONFIG)
        safe, pickled = ([path / name for name in names] for names in (_SAFE, _PICKLED))
        if not any(file.is_file() for file in safe + pickled):
            raise UsageError(
                f"{path}: there are no weights in it, neither {_SAFE[0]} nor {_PICKLED[0]}",
                "copy the whole folder, or save the model again: model.save_pretrained(FOLDER)",
            )
        return cls(place, path, not any(file.is_file() for file in safe))

    @property
    def preprocessor(self) -> Path | None:
        """The file that says how images were made ready, where there is one."""
        path = self.path / PREPROCESSOR
        return path if path.is_file() else None


def _require_classifier(path: Path) -> None:
    try:
        config = ModelConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "correct it") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise UsageError(
            f"{path}: {place}: {problem['msg']}",
            f"name {_WHAT}, of a model of the transformers library",
        ) from None
    names = config.architectures
    if names and not any(_CLASSIFIES in name for name in names):
        raise UsageError(
            f"{path}: the model is a {', '.join(names)}, which classifies no images",
            f"name one whose class is called ...{_CLASSIFIES}",
        )


@cache  # a command asks several times, and means the same files
def _fetched(name: str, revision: str | None) -> Path:
    """The folder in which Hugging Face's library keeps a model of the hub."""
    try:
        import huggingface_hub as hub
    except ImportError:
        raise needs_library(f"transformers:{name}") from None
    try:
        path = Path(hub.snapshot_download(name, revision=revision, allow_patterns=[*_FILES]))
        if not any((path / file).is_file() for file in _SAFE):
            more = [*_FILES, *_MORE_FILES]
            path = Path(hub.snapshot_download(name, revision=revision, allow_patterns=more))
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        raise UsageError(
            f"{name}: no folder here, and no model of the hub that can be read: "
            f"{first_lines(error)}",
            f"correct the name; for a model that is not public: hf auth login; {PATH_RULE}",
        ) from None
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise UsageError(
            f"{name}: no folder here, and it cannot be fetched from the hub: {first_lines(error)}",
            f"where there is no network, copy {_WHAT} and name that; {PATH_RULE}",
        ) from None
    return path


def needs_library(source: str) -> UsageError:
    """What to say where Hugging Face's library is not installed."""
    return UsageError(
        f"{source} needs the package `transformers`, which is not installed",
        "pip install 'transformers>=5'",
    )
