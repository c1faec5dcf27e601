"""How a model's images were made ready, where Hugging Face's image processor wrote it down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import UsageError
from pipeline.data.normalization import Normalization
from pipeline.ingest.zoo.model_folder import invalid_config, read_config
from pipeline.settings import NormalizationSettings, Resizing

PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=64)]
Pixels = Annotated[int, Field(ge=1, le=65536)]
StatedSize = Pixels | tuple[Pixels, Pixels] | dict[str, Pixels | None]

#: Pillow's numbers of filters; of these an app has the two that `Resizing` knows.
_FILTERS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
_OTHER_FILTERS = {0: "nearest", 1: "lanczos", 4: "box", 5: "hamming"}
#: Steps that are done here, and those that change labels or leave pixels of photos as they are.
_DONE = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_WITHOUT_EFFECT = ("do_reduce_labels", "do_reduce_zero_label")
#: Image processors that take a plain number for both sides; others for the shorter one.
_SQUARE = ("ViT", "DeiT", "Beit")
#: Image processors with rules of their own that stand in no file.
_OWN_RULES = ("ImageGPT", "Levit", "Perceiver", "PoolFormer")
#: From this side on, ConvNeXt's stretches to a square and cuts nothing off.
_WARPED = 384
_REMEDY = "correct it, or move it away and set mean, std and image_size in [data]"


class PreprocessorConfig(BaseModel):
    """What of a preprocessor_config.json decides the values that a network is given.

    Attributes:
        do_rescale: whether pixels are multiplied by `rescale_factor` first.
        do_normalize: whether `image_mean` is subtracted and the rest divided by `image_std` then.
        include_top: of EfficientNet's: whether the rest is divided by `image_std` once more.
        do_resize: whether images are resized to `size`, by Pillow's filter number `resample`; where
            it is not said, if there is a size.
        do_center_crop: whether `crop_size` is cut out of the middle then.
        crop_pct: of ConvNeXt's: `size` is cut out of so many times less.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    image_processor_type: str = ""
    feature_extractor_type: str = ""
    do_rescale: bool = True
    rescale_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1 / 255
    do_normalize: bool = True
    image_mean: PerChannel | None = None
    image_std: PerChannel | None = None
    include_top: bool | None = None
    do_resize: bool | None = None
    size: StatedSize | None = None
    resample: int | None = None
    do_center_crop: bool | None = None
    crop_size: StatedSize | None = None
    crop_pct: Annotated[float, Field(gt=0, le=1)] | None = None

    @classmethod
    def read(cls, path: Path) -> PreprocessorConfig:
        """What a file says.

        Raises:
            UsageError: it cannot be read or holds wrong values.
        """
        return read_config(path, cls, _REMEDY)

    def is_of(self, *names: str) -> bool:
        """Whether the image processor is one of some models' own."""
        kind = self.image_processor_type or self.feature_extractor_type
        return kind.startswith(names)

    def normalization(self) -> NormalizationSettings | None:
        """The same as ``(pixel / 255 - mean) / std``; None where mean or std is not said.

        Raises:
            ValidationError: the values cannot be meant.
        """
        if self.image_mean is None or self.image_std is None or not self.do_normalize:
            return None
        full = 255 * self.rescale_factor if self.do_rescale else 255  # what white becomes first
        twice = self.include_top and self.is_of("EfficientNet")
        deviations = [value * value if twice else value for value in self.image_std]
        return NormalizationSettings(
            mean=tuple(value / full for value in self.image_mean),
            std=tuple(value / full for value in deviations),
        )

    def resizing(self) -> Resizing | None:
        """How images of any size become those that the model takes; None where it is not said.

        Raises:
            ValueError: that is something that no app of this project can repeat.
        """
        self._require_known_steps()
        if self.size is None or self.do_resize is False:
            if self.do_center_crop:
                raise ValueError("do_center_crop of images that are not resized")
            return None
        filter_ = _FILTERS.get(2 if self.resample is None else self.resample)
        if filter_ is None:
            name = _OTHER_FILTERS.get(self.resample or 0, "unknown")
            raise ValueError(f"resample {self.resample} ({name}): apps have bilinear and bicubic")
        square, side = _side(self.size, "size", square=self.is_of(*_SQUARE))
        if self.is_of("ConvNext"):
            if side >= _WARPED:
                return Resizing(side, "stretch", side, filter_)
            return Resizing(
                side, "shortest-edge", int(side / (self.crop_pct or 224 / 256)), filter_
            )
        cut = side
        if self.do_center_crop:
            _, cut = _side(side if self.crop_size is None else self.crop_size, "crop_size")
        elif not square:
            raise ValueError("size: the shorter side alone, so that images have many shapes")
        if cut > side:
            raise ValueError(f"crop_size {cut} is more than is left of images, {side}")
        return Resizing(cut, "stretch" if square else "shortest-edge", side, filter_)

    def _require_known_steps(self) -> None:
        extra: Mapping[str, Any] = self.model_extra or {}
        others = [name for name, value in extra.items() if name.startswith("do_") and value is True]
        if extra.get("rescale_offset"):
            others.append("rescale_offset")
        if unknown := sorted({*others} - {*_DONE, *_WITHOUT_EFFECT}):
            raise ValueError(f"{unknown[0]}: a step that no app of this project can repeat")
        if self.is_of(*_OWN_RULES):
            kind = self.image_processor_type or self.feature_extractor_type
            raise ValueError(f"{kind} resizes by a rule of its own")


def _side(size: StatedSize, name: str, square: bool = True) -> tuple[bool, int]:
    """Whether a size is that of both sides, and how many pixels it is."""
    if isinstance(size, Mapping):
        sides = {key: side for key, side in size.items() if side is not None}
        match sides:
            case {"height": height, "width": width} if height == width and len(sides) == 2:
                return True, height
            case {"shortest_edge": side} if len(sides) == 1:
                return False, side
        raise ValueError(f"{name} {sides}: apps have squares, and the shorter side of all others")
    if isinstance(size, tuple):
        return _side({"height": size[0], "width": size[1]}, name)
    return square, size


def stated_normalization(path: Path | None) -> Normalization | None:
    """The normalization that a preprocessor_config.json states, if there is one and it does.

    Raises:
        UsageError: it cannot be read or holds wrong values.
    """
    if path is None:
        return None
    config = PreprocessorConfig.read(path)
    try:
        stated = config.normalization()
    except ValidationError as error:
        raise invalid_config(path, error, _REMEDY) from None
    return None if stated is None else Normalization(stated.mean, stated.std)


def stated_resizing(path: Path | None) -> Resizing | None:
    """How a preprocessor_config.json has images resized, if there is one and it says.

    Raises:
        UsageError: it cannot be read, or says something that no app can repeat.
    """
    if path is None:
        return None
    config = PreprocessorConfig.read(path)
    try:
        return config.resizing()
    except ValueError as error:
        raise UsageError(f"{path}: {error}", _REMEDY) from None
