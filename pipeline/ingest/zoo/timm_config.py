"""What a config.json of the timm library says of its model and its images. Quick to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.core.errors import UsageError
from pipeline.data.normalization import Normalization
from pipeline.ingest.preprocessor import PerChannel, Pixels
from pipeline.ingest.zoo.model_folder import ModelLibrary, read_config, source_name
from pipeline.settings import NormalizationSettings, Resizing, TaskKind

_WHAT = "a folder as timm.models.save_for_hf writes it, with config.json and model.safetensors"
_SAVING = "timm.models.save_for_hf(model, FOLDER, safe_serialization=True)"
_REMEDY = "correct it, or set mean, std and image_size in [data] and leave it out there"
_FILTERS: dict[str, Literal["bilinear", "bicubic"]] = {"bilinear": "bilinear", "bicubic": "bicubic"}
#: What the library takes where a file says nothing: ImageNet's.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PretrainedConfig(BaseModel):
    """How images were made ready for a model.

    Attributes:
        input_size: channels, height and width.
        mean, std: of ``(pixel / 255 - mean) / std``.
        crop_pct: share of the resized image's side that is cut out of its middle.
        crop_mode: "center": images are resized in their own shape; "squash": to a square.
        interpolation: Pillow's filter.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    input_size: tuple[Pixels, Pixels, Pixels] = (3, 224, 224)
    mean: PerChannel = _MEAN
    std: PerChannel = _STD
    crop_pct: Annotated[float, Field(gt=0, le=1)] = 0.875
    crop_mode: str = "center"
    interpolation: str = "bicubic"

    @model_validator(mode="before")
    @classmethod
    def _said(cls, table: object) -> object:
        """Without what is null, which the library takes as not said."""
        if isinstance(table, dict):
            return {key: value for key, value in table.items() if value is not None}
        return table

    def resizing(self) -> Resizing:
        """How images of any size become those that the model takes.

        Raises:
            ValueError: that is something that no app of this project can repeat.
        """
        _, height, width = self.input_size
        if height != width:
            raise ValueError(f"input_size {height}x{width}: apps have squares")
        filter_ = _FILTERS.get(self.interpolation)
        if filter_ is None:
            raise ValueError(f"interpolation {self.interpolation}: apps have bilinear and bicubic")
        modes: dict[str, Literal["shortest-edge", "stretch"]] = {
            "center": "shortest-edge",
            "squash": "stretch",
        }
        if (resize := modes.get(self.crop_mode)) is None:
            raise ValueError(f"crop_mode {self.crop_mode}: apps have center and squash")
        return Resizing(height, resize, math.floor(height / self.crop_pct), filter_)


class TimmConfig(BaseModel):
    """What of a config.json says which model it is, and which images it takes.

    Attributes:
        architecture: as the library's registry calls its code.
        num_classes: how many logits it gives.
        label_names: of the classes, in the order of the logits or by their numbers.
        pretrained_cfg: how images were made ready.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    architecture: str
    num_classes: int | None = None
    label_names: tuple[str, ...] | dict[str, str] | None = None
    pretrained_cfg: PretrainedConfig = PretrainedConfig()

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, table: object) -> object:
        """A file of older versions, which had one table, as one of newer ones."""
        if not isinstance(table, dict) or "pretrained_cfg" in table:
            return table
        names = table.get("label_names", table.get("labels"))
        return {**table, "label_names": names, "pretrained_cfg": {**table}}

    @classmethod
    def read(cls, path: Path) -> TimmConfig:
        """What a file says.

        Raises:
            UsageError: it cannot be read or holds something else.
        """
        return read_config(path, cls, f"name {_WHAT}")

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of all classes in the order of the logits, if it says."""
        names = self.label_names
        if isinstance(names, Mapping):
            names = tuple(names.get(str(index), "") for index in range(len(names)))
        return names if names and all(names) else None


def timm_normalization(path: Path, config: PretrainedConfig) -> Normalization:
    """The normalization that a config.json states.

    Args:
        path: the file, for errors.
        config: what it says.

    Raises:
        UsageError: it holds wrong values.
    """
    if len(config.mean) != config.input_size[0] or len(config.std) != config.input_size[0]:
        raise UsageError(
            f"{path}: pretrained_cfg: mean and std have {len(config.mean)} and {len(config.std)} "
            f"values, and input_size {config.input_size[0]} channel(s)",
            _REMEDY,
        )
    try:
        stated = NormalizationSettings(mean=config.mean, std=config.std)
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{path}: pretrained_cfg: {said}", _REMEDY) from None
    return Normalization(stated.mean, stated.std)


def timm_resizing(path: Path) -> Resizing:
    """How a config.json has images resized.

    Raises:
        UsageError: it cannot be read, or says something that no app can repeat.
    """
    try:
        return TimmConfig.read(path).pretrained_cfg.resizing()
    except ValueError as error:
        raise UsageError(f"{path}: pretrained_cfg: {error}", _REMEDY) from None


def _require_model(path: Path, task: TaskKind | None) -> None:
    kinds = read_config(path, _Kinds, f"name {_WHAT}")
    if kinds.architecture is None and kinds.model_type is not None:
        raise UsageError(
            f"{path}: the folder is of the transformers library, not timm's",
            f'source = "transformers:{source_name(path.parent)}"',
        )
    if task == "dense":
        raise UsageError(
            f"{path}: the models of timm label images, not pixels",
            'name a function that returns the network: source = "python:FILE.py:FUNCTION"',
        )
    config = TimmConfig.read(path)
    if config.num_classes == 0 and task == "classification":
        raise UsageError(
            f"{path}: the model has no classes: it gives features",
            'name one that was trained to classify images, or set kind = "embedding" in [task]',
        )


class _Kinds(BaseModel):
    """Which library a config.json is of."""

    architecture: str | None = None
    model_type: str | None = None


def _hub_name(name: str) -> str:
    """The hub's name of a model that the library's registry knows; of others what they are."""
    if "/" in name:
        return name
    from pipeline.ingest.zoo.timm_registry import registered_on_hub

    return registered_on_hub(name)


TIMM = ModelLibrary(
    name="timm",
    folder=_WHAT,
    saving=_SAVING,
    installing="pip install 'timm>=1' torchvision==0.28.0",
    require_model=_require_model,
    hub_name=_hub_name,
)
