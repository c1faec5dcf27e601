"""What a config.json of Hugging Face's transformers library says of its model. Quick to import."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import UsageError
from pipeline.ingest.zoo.model_folder import ModelLibrary, read_config, source_name

_WHAT = "a folder as save_pretrained writes it, with config.json and model.safetensors"
_CLASSIFIES = "ForImageClassification"


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


def _require_classifier(path: Path) -> None:
    remedy = f"name {_WHAT}, of a model of the transformers library"
    config = read_config(path, ModelConfig, remedy)
    if config.model_type is None:
        of_timm = config.architecture is not None
        raise UsageError(
            f"{path}: model_type: Field required" + (": the folder is timm's" if of_timm else ""),
            f'source = "timm:{source_name(path.parent)}"' if of_timm else remedy,
        )
    names = config.architectures
    if names and not any(_CLASSIFIES in name for name in names):
        raise UsageError(
            f"{path}: the model is a {', '.join(names)}, which classifies no images",
            f"name one whose class is called ...{_CLASSIFIES}",
        )


def _same(name: str) -> str:
    return name


TRANSFORMERS = ModelLibrary(
    name="transformers",
    folder=_WHAT,
    saving="model.save_pretrained(FOLDER)",
    installing="pip install 'transformers>=5'",
    require_classifier=_require_classifier,
    hub_name=_same,
)
