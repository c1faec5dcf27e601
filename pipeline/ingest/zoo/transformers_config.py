"""What a config.json of Hugging Face's transformers library says of its model. Quick to import."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import UsageError
from pipeline.ingest.zoo.model_folder import ModelLibrary, read_config, source_name
from pipeline.settings import TaskKind

_WHAT = "a folder as save_pretrained writes it, with config.json and model.safetensors"
_REMEDY = f"name {_WHAT}, of a model of the transformers library"
#: By task: what the library calls classes that have an answer to it, and what others do not do.
_CLASSES: Final[dict[TaskKind, tuple[str, str]]] = {
    "classification": ("ForImageClassification", "classifies no images"),
    "dense": ("ForSemanticSegmentation", "gives pixels no labels"),
}


class ModelConfig(BaseModel):
    """What of a config.json says which model it is.

    Attributes:
        model_type: as the library calls its code.
        architectures: the classes that the weights were saved from, if it says.
        architecture: what timm's config.json has in place of both.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_type: str | None = None
    architectures: tuple[str, ...] | None = None
    architecture: str | None = None


def task_of(path: Path) -> TaskKind:
    """The task that a model has an answer to, by the class that its weights were saved from.

    Raises:
        UsageError: the config.json cannot be read.
    """
    return _task(_read(path).architectures or ())


def _task(names: Collection[str]) -> TaskKind:
    for task, (ending, _) in _CLASSES.items():
        if any(ending in name for name in names):
            return task
    return "embedding" if names else "classification"


def _read(path: Path) -> ModelConfig:
    return read_config(path, ModelConfig, _REMEDY)


def _require_model(path: Path, task: TaskKind | None) -> None:
    config = _read(path)
    if config.model_type is None:
        of_timm = config.architecture is not None
        raise UsageError(
            f"{path}: model_type: Field required" + (": the folder is timm's" if of_timm else ""),
            f'source = "timm:{source_name(path.parent)}"' if of_timm else _REMEDY,
        )
    names = config.architectures or ()
    found = _task(names)
    if not names or task in (None, "embedding", found):  # any model's features are embeddings
        return
    ending, fails = _CLASSES[task]
    raise UsageError(
        f"{path}: the model is a {', '.join(names)}, which {fails}",
        f'name one whose class is called ...{ending}, or set kind = "{found}" in [task]',
    )


def _same(name: str) -> str:
    return name


TRANSFORMERS = ModelLibrary(
    name="transformers",
    folder=_WHAT,
    saving="model.save_pretrained(FOLDER)",
    installing="pip install 'transformers>=5'",
    require_model=_require_model,
    hub_name=_same,
)
