"""The ``[model]`` table: a family with its sizes, or a source."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.core.toml_file import Section
from pipeline.settings.quantities import Count, Rate
from pipeline.settings.source_model import SourceModel


class ResNetSettings(Section):
    """One network of the ResNet family: a stem, stages of basic blocks, a linear classifier.

    Attributes:
        stem: channels after the stem (the embedder).
        stem_kernel, stem_stride: its convolution.
        stem_pool: whether a 3x3 maximum pooling of stride 2 follows it.
        widths: channels of each block.
        depths: basic layers in each block.
        strides: stride with which each block begins.
    """

    stem: Count = 64
    stem_kernel: Literal[1, 3, 5, 7] = 3
    stem_stride: Literal[1, 2] = 1
    stem_pool: bool = False
    widths: tuple[Count, ...]
    depths: tuple[Count, ...]
    strides: tuple[Literal[1, 2], ...] = ()

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        _require_one_of_each(self.widths, self.depths)
        if self.strides and len(self.strides) != len(self.widths):
            raise ValueError(
                f"strides has {len(self.strides)} entries but widths has {len(self.widths)}: "
                "give one per block or leave it out"
            )
        return self

    @property
    def block_strides(self) -> tuple[int, ...]:
        """The strides, by default 1 for the first block and 2 for every other."""
        return self.strides or (1,) + (2,) * (len(self.widths) - 1)


class VggSettings(Section):
    """One network of the VGG family: blocks of 3x3 convolutions, each ending in a pooling.

    Attributes:
        widths: channels of each block.
        depths: convolutions in each block.
        pool_kernel, pool_stride: of the maximum pooling that ends each block, in pixels.
    """

    widths: tuple[Count, ...]
    depths: tuple[Count, ...]
    pool_kernel: Annotated[int, Field(ge=1, le=64)] = 2
    pool_stride: Annotated[int, Field(ge=1, le=64)] = 2

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        _require_one_of_each(self.widths, self.depths)
        return self

    @property
    def smallest_image(self) -> int:
        """The least height and width that the poolings leave something of, in pixels."""
        side = 1
        for _ in self.widths:
            side = (side - 1) * self.pool_stride + self.pool_kernel
        return side


class VitSettings(Section):
    """One network of the ViT family: patches as tokens, blocks of encoder layers.

    Attributes:
        patch: height and width of a patch, in pixels.
        width: of a token.
        heads: of each attention.
        mlp_width: of each perceptron's hidden layer, by default four times `width`.
        depths: encoder layers in each block.
        qkv_bias: whether queries, keys and values have biases.
        norm_epsilon: of the layer normalizations; Hugging Face's ViTConfig has the same default.
    """

    patch: Count
    width: Count
    heads: Count
    mlp_width: Count | None = None
    depths: tuple[Count, ...]
    qkv_bias: bool = True
    norm_epsilon: Rate = 1e-12

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if not self.depths:
            raise ValueError("depths: at least one block is needed")
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} cannot be shared out among {self.heads} heads: "
                "make it a multiple of heads"
            )
        return self

    @property
    def hidden_width(self) -> int:
        """The width of the perceptrons' hidden layers."""
        return self.mlp_width or 4 * self.width


Network = TypeVar("Network", ResNetSettings, VggSettings, VitSettings)


class _Pair(Section, Generic[Network]):
    """A teacher and a student of one family, with the same number of blocks.

    Attributes:
        family: what the networks are made of.
        teacher: the large network.
        student: the small one, which answers first.
    """

    family: str
    teacher: Network
    student: Network

    @model_validator(mode="after")
    def _same_blocks(self) -> Self:
        teacher, student = len(self.teacher.depths), len(self.student.depths)
        if teacher != student:
            raise ValueError(
                f"the teacher has {teacher} blocks and the student {student}: "
                "progressive loading swaps block for block, so the counts must be equal"
            )
        return self

    @property
    def blocks(self) -> int:
        """The number of blocks, N."""
        return len(self.teacher.depths)


class ResNetModel(_Pair[ResNetSettings]):
    """A teacher and a student of the ResNet family."""

    family: Literal["resnet"]


class VggModel(_Pair[VggSettings]):
    """A teacher and a student of the VGG family."""

    family: Literal["vgg"]

    @model_validator(mode="after")
    def _same_poolings(self) -> Self:
        teacher, student = (
            (network.pool_kernel, network.pool_stride) for network in (self.teacher, self.student)
        )
        if teacher != student:
            raise ValueError(
                f"pool_kernel and pool_stride are {teacher[0]} and {teacher[1]} in the teacher, "
                f"{student[0]} and {student[1]} in the student: "
                "blocks can be exchanged only where features have equal heights and widths"
            )
        return self


class VitModel(_Pair[VitSettings]):
    """A teacher and a student of the ViT family."""

    family: Literal["vit"]

    @model_validator(mode="after")
    def _same_tokens(self) -> Self:
        teacher, student = self.teacher.patch, self.student.patch
        if teacher != student:
            raise ValueError(
                f"the teacher's patch is {teacher} and the student's {student}: "
                "blocks can be exchanged only between equal numbers of tokens"
            )
        return self


def _model_tag(table: Any) -> str:
    """Which table ``[model]`` is meant to be: a family that is trained here, or a source."""
    if isinstance(table, SourceModel) or (isinstance(table, dict) and "source" in table):
        return "source"
    return str(table.get("family") if isinstance(table, dict) else table.family)


FamilyModel = ResNetModel | VggModel | VitModel
ModelSettings = Annotated[
    Annotated[ResNetModel, Tag("resnet")]
    | Annotated[VggModel, Tag("vgg")]
    | Annotated[VitModel, Tag("vit")]
    | Annotated[SourceModel, Tag("source")],
    Discriminator(
        _model_tag,
        custom_error_type="model",
        custom_error_message="give a family (resnet, vgg or vit), or a source",
    ),
]


def _require_one_of_each(widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
    if not widths:
        raise ValueError("widths: at least one block is needed")
    if len(depths) != len(widths):
        raise ValueError(
            f"depths has {len(depths)} entries but widths has {len(widths)}: "
            "give one of each per block"
        )
