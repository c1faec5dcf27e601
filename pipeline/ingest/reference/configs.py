"""The configurations of a checkpoint's two networks, as Hugging Face writes them.

What decides the arithmetic is read strictly, and a key that is absent means what it means to the
reference implementation: its own defaults and, below them, Hugging Face's. The many keys that
decide nothing are left unread; those that would, and are not supported, are refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from pipeline.core.errors import UsageError
from pipeline.settings import ResNetSettings, VggSettings, VitSettings

#: Bounded, so that the sizes of a hostile configuration can at least be multiplied.
Dimension = Annotated[int, Field(ge=1, le=2**16)]
Dimensions = Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=64)]
PoolSize = Annotated[int, Field(ge=1, le=64)]

_FAMILIES = {"resnet", "vgg", "vit", "lenet5"}


class NetworkConfig(BaseModel):
    """What the families' configurations share.

    Attributes:
        id2label: the labels' names by index. Hugging Face does not write them down when they are
            two with its own names.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    #: What the family is called in `model_type`.
    family: ClassVar[str]

    model_type: str | None = None
    #: These two change the network that Hugging Face builds from the rest.
    quantization_config: None = None
    pruned_heads: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    id2label: Annotated[dict[str, str | int], Field(min_length=1, max_length=2**16)] = {
        "0": "LABEL_0",
        "1": "LABEL_1",
    }

    @field_validator("model_type")
    @classmethod
    def _of_this_family(cls, name: str | None) -> str | None:
        """Other words than a family's may stand there: they are left alone."""
        if name is not None and name.removeprefix("block_") in _FAMILIES - {cls.family}:
            raise ValueError(f"the tensors are those of a network of the {cls.family} family")
        return name

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

    family = "resnet"

    num_channels: Dimension = 3
    embedding_size: Dimension = 64
    embedder_kernel_size: Literal[1, 3, 5, 7] = 7
    embedder_kernel_stride: Literal[1, 2] = 2
    embedder_use_pooler: bool = True
    hidden_sizes: Dimensions = (256, 512, 1024, 2048)
    depths: Dimensions = (3, 4, 6, 3)
    downsample_in_first_stage: bool = False
    layer_type: Annotated[Literal["basic"], Field(validate_default=True)] = "bottleneck"  # type: ignore[assignment]
    hidden_act: Literal["relu"] = "relu"
    #: No key of the reference implementation's, which would run with its default all the same.
    embedder_stride: Literal[1, 2] | None = None

    @model_validator(mode="after")
    def _one_stride(self) -> Self:
        if self.embedder_stride not in (None, self.embedder_kernel_stride):
            raise ValueError(
                f"embedder_stride is {self.embedder_stride}, but the reference implementation "
                f"reads embedder_kernel_stride, which is {self.embedder_kernel_stride} here: "
                "give the stride that the network was trained with that name"
            )
        return self

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
            stem_stride=self.embedder_kernel_stride,
            stem_pool=self.embedder_use_pooler,
            widths=self.hidden_sizes,
            depths=self.depths,
            strides=tuple(strides),
        )


class VggConfig(NetworkConfig):
    """A network of the VGG family."""

    family = "vgg"

    in_channels: Dimension = 3
    hidden_sizes: Dimensions = (64, 128, 256, 512, 512)
    depths: Dimensions = (2, 2, 3, 3, 3)
    pool_kernel: PoolSize = 2
    pool_stride: PoolSize | None = 2
    hidden_act: Literal["relu"] = "relu"

    @model_validator(mode="after")
    def _one_depth_a_block(self) -> Self:
        if len(self.depths) != len(self.hidden_sizes):
            raise ValueError(
                f"depths has {len(self.depths)} entries, hidden_sizes {len(self.hidden_sizes)}"
            )
        return self

    def settings(self) -> VggSettings:
        """The network in this project's terms."""
        return VggSettings(
            widths=self.hidden_sizes,
            depths=self.depths,
            pool_kernel=self.pool_kernel,
            # As for torch: without a stride, the windows lie side by side.
            pool_stride=self.pool_stride or self.pool_kernel,
        )


class VitConfig(NetworkConfig):
    """A network of the ViT family."""

    family = "vit"

    num_channels: Dimension = 3
    image_size: Dimension | tuple[Dimension, Dimension] = 224
    patch_size: Dimension | tuple[Dimension, Dimension] = 16
    hidden_size: Dimension = 768
    num_hidden_layers: Dimension = 12
    num_attention_heads: Dimension = 12
    intermediate_size: Dimension = 3072
    layers_per_block: Dimension = 1
    layer_norm_eps: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1e-12
    qkv_bias: bool = True
    hidden_act: Literal["gelu"] = "gelu"
    #: Hugging Face takes it for the width of a head where a configuration has it.
    head_dim: Dimension | None = None

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
        if self.head_dim not in (None, self.hidden_size // self.num_attention_heads):
            raise ValueError(
                f"head_dim {self.head_dim}: only heads that share out hidden_size are read"
            )
        if self.num_hidden_layers % self.layers_per_block:
            raise ValueError(
                f"num_hidden_layers {self.num_hidden_layers} is no multiple of layers_per_block "
                f"{self.layers_per_block}"
            )
        return self

    @property
    def depths(self) -> tuple[int, ...]:
        """The layers of each block."""
        return (self.layers_per_block,) * (self.num_hidden_layers // self.layers_per_block)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of an image."""
        size = self.image_size
        return size if isinstance(size, tuple) else (size, size)

    @property
    def patch(self) -> int:
        """Height and width of a patch."""
        return self.patch_size[0] if isinstance(self.patch_size, tuple) else self.patch_size

    def settings(self) -> VitSettings:
        """The network in this project's terms."""
        return VitSettings(
            patch=self.patch,
            width=self.hidden_size,
            heads=self.num_attention_heads,
            mlp_width=self.intermediate_size,
            depths=self.depths,
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
        found = error.errors(include_url=False)
        problems = [_explain(problem, data) for problem in found]
        shown = "\n  ".join(problems[:8]) + ("\n  ..." if len(problems) > 8 else "")
        raise UsageError(
            f"{path}: not a configuration that can be read\n  {shown}",
            "see docs/reference.md for what is supported",
        ) from None


def given_or_default(config: NetworkConfig, key: str) -> str:
    """A key as errors call it: whether the configuration has it, or it stands at its default."""
    return key if key in config.model_fields_set else f"{key} (absent, so its default)"


def _explain(problem: ErrorDetails, data: bytes) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    got = problem["input"]
    shown = isinstance(got, str | int | float) and problem["loc"] and len(repr(got)) < 60
    place = f"{'.'.join(map(str, problem['loc']))}: " if problem["loc"] else ""
    if problem["loc"] and f'"{problem["loc"][0]}"'.encode() not in data:
        place = f"{place.removesuffix(': ')} (absent, so its default): "
    return f"{place}{message[0].lower()}{message[1:]}" + (f" (got {got!r})" if shown else "")
