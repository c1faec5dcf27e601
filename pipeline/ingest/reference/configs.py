"""The configurations of a checkpoint's two networks, as Hugging Face writes them.

What decides the arithmetic is read strictly; the many keys that do not are left unread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from pipeline.errors import UsageError
from pipeline.settings import ResNetSettings, VggSettings, VitSettings

#: Bounded, so that the sizes of a hostile configuration can at least be multiplied.
Size = Annotated[int, Field(ge=1, le=2**16)]
Sizes = Annotated[tuple[Size, ...], Field(min_length=1, max_length=64)]


class NetworkConfig(BaseModel):
    """What the families' configurations share.

    Attributes:
        id2label: the labels' names by index. Hugging Face does not write them down when they are
            two with its own names.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    id2label: Annotated[dict[str, str | int], Field(min_length=1, max_length=2**16)] = {
        "0": "LABEL_0",
        "1": "LABEL_1",
    }

    @field_validator("id2label")
    @classmethod
    def _one_name_an_index(cls, names: dict[str, str | int]) -> dict[str, str | int]:
        if names.keys() != {str(index) for index in range(len(names))}:
            raise ValueError(f"its keys should be 0 to {len(names) - 1}")
        return names

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the logits."""
        return tuple(str(self.id2label[str(index)]) for index in range(len(self.id2label)))


class ResNetConfig(NetworkConfig):
    """A network of the ResNet family."""

    num_channels: Size = 3
    embedding_size: Size
    embedder_kernel_size: Literal[1, 3, 5, 7]
    embedder_stride: Literal[1, 2]
    embedder_use_pooler: bool
    hidden_sizes: Sizes
    depths: Sizes
    downsample_in_first_stage: bool
    layer_type: Literal["basic"] = "basic"
    hidden_act: Literal["relu"] = "relu"

    @model_validator(mode="after")
    def _one_depth_a_block(self) -> Self:
        if len(self.depths) != len(self.hidden_sizes):
            raise ValueError(
                f"depths has {len(self.depths)} entries, hidden_sizes {len(self.hidden_sizes)}"
            )
        return self

    def settings(self) -> ResNetSettings:
        """The network in this project's terms."""
        strides: list[Literal[1, 2]] = [2] * len(self.depths)
        if not self.downsample_in_first_stage:
            strides[0] = 1
        return ResNetSettings(
            stem=self.embedding_size,
            stem_kernel=self.embedder_kernel_size,
            stem_stride=self.embedder_stride,
            stem_pool=self.embedder_use_pooler,
            widths=self.hidden_sizes,
            depths=self.depths,
            strides=tuple(strides),
        )


class VggConfig(NetworkConfig):
    """A network of the VGG family. Its tensors tell its shape; sizes given here have to agree."""

    num_channels: Size | None = None
    hidden_sizes: Sizes | None = None
    depths: Sizes | None = None
    hidden_act: Literal["relu"] = "relu"

    def settings(self, widths: Sequence[int], depths: Sequence[int]) -> VggSettings:
        """The network in this project's terms.

        Args:
            widths: channels of each block, as its tensors have them.
            depths: convolutions of each block, as there are tensors of.
        """
        return VggSettings(widths=tuple(widths), depths=tuple(depths))


class VitConfig(NetworkConfig):
    """A network of the ViT family."""

    num_channels: Size = 3
    image_size: Size | tuple[Size, Size]
    patch_size: Size | tuple[Size, Size]
    hidden_size: Size
    num_attention_heads: Size
    intermediate_size: Size
    layers_per_block: Size | Sizes | None = None
    layer_norm_eps: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    qkv_bias: bool = True
    hidden_act: Literal["gelu"] = "gelu"

    @model_validator(mode="after")
    def _patches_and_heads_fit(self) -> Self:
        height, width = self.image
        if isinstance(self.patch_size, tuple) and self.patch_size[0] != self.patch_size[1]:
            raise ValueError(f"patch_size {list(self.patch_size)}: only square patches are read")
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"image_size {height}x{width} is no multiple of patch_size {self.patch}"
            )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} cannot be shared out among "
                f"num_attention_heads {self.num_attention_heads}"
            )
        return self

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of an image."""
        size = self.image_size
        return size if isinstance(size, tuple) else (size, size)

    @property
    def patch(self) -> int:
        """Height and width of a patch."""
        return self.patch_size[0] if isinstance(self.patch_size, tuple) else self.patch_size

    def settings(self, depths: Sequence[int]) -> VitSettings:
        """The network in this project's terms.

        Args:
            depths: layers of each block, as there are tensors of.
        """
        return VitSettings(
            patch=self.patch,
            width=self.hidden_size,
            heads=self.num_attention_heads,
            mlp_width=self.intermediate_size,
            depths=tuple(depths),
            qkv_bias=self.qkv_bias,
            norm_epsilon=self.layer_norm_eps,
        )


C = TypeVar("C", bound=NetworkConfig)


def parse_config(data: bytes, kind: type[C], path: Path) -> C:
    """Reads a configuration.

    Args:
        data: JSON.
        kind: what it has to be.
        path: where it came from, for errors.

    Raises:
        UsageError: it is no JSON, or values are missing, wrong or of a kind that is not supported.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors(include_url=False)]
        shown = "\n  ".join(problems[:8]) + ("\n  ..." if len(problems) > 8 else "")
        raise UsageError(
            f"{path}: not a configuration that can be read\n  {shown}",
            "see docs/reference.md for what is supported",
        ) from None


def _explain(problem: ErrorDetails) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    got = problem["input"]
    shown = isinstance(got, str | int | float) and problem["loc"] and len(repr(got)) < 60
    place = f"{'.'.join(map(str, problem['loc']))}: " if problem["loc"] else ""
    return f"{place}{message[0].lower()}{message[1:]}" + (f" (got {got!r})" if shown else "")
