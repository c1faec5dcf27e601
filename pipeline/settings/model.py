"""The ``[model]`` table: a family with its sizes, or a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationInfo,
    model_validator,
)

from pipeline.core.toml_file import Section, Spelling, located
from pipeline.settings.normalization import NormalizationSettings
from pipeline.settings.quantities import Count, Rate


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


def _located_source(source: str, info: ValidationInfo) -> str:
    """A source whose file or folder is `located`; one that names none stays as it is."""
    kind, _, place = source.partition(":")
    file, colon, function = (place, "", "") if kind == "reference" else place.rpartition(":")
    if kind != "reference" and not file.endswith(".py"):
        return source
    found = located(Path(file), info)
    return f"{kind}:{found}{colon}{function}" if found.exists() else source


def _portable_source(source: str) -> str:
    """A source without folders of this machine; what it holds is named by its content."""
    kind, _, place = source.partition(":")
    if kind == "reference":
        return f"{kind}:checkpoint"
    return f"{kind}:{place.rpartition('/')[2]}"


SOURCE_KINDS = ("keras", "python", "reference")
_Submodules = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class SourceModel(Section):
    """A model that comes from elsewhere; see `pipeline.ingest`.

    Attributes:
        source: ``KIND:PLACE``. Where it is a function, MODULE may be the path of a Python file:
            ``keras:MODULE:FUNCTION`` gives trained Keras blocks, ``python:MODULE:FUNCTION`` modules
            of PyTorch, trained or to be trained here. ``reference:FOLDER`` is a checkpoint of the
            official reference implementation, or a folder of several. A relative path is looked
            for beside the profile, then in the current folder.
        normalization: the mean and std, a channel each, that the model was trained with, where the
            source itself does not state them; the same as mean and std in ``[data]``.
        split: for ``python:``, where networks have no ``embedder``, ``blocks`` and ``classifier``:
            the submodules that blocks begin with, in the order in which they run, such as
            ``["layer1", "layer2"]`` or ``["features[0:3]", "features[3:6]"]``.
    """

    source: Annotated[
        str,
        Spelling(
            rf"^({'|'.join(SOURCE_KINDS)}):.+$",
            "keras:MODULE:FUNCTION, python:MODULE:FUNCTION or reference:FOLDER",
        ),
        AfterValidator(_located_source),
        PlainSerializer(_portable_source, when_used="json"),
    ]

    normalization: NormalizationSettings | None = None
    split: _Submodules | None = None

    @model_validator(mode="after")
    def _split_of_modules(self) -> Self:
        if self.split is not None and self.kind != "python":
            raise ValueError("split: only networks of python:MODULE:FUNCTION are cut by name")
        return self

    @property
    def kind(self) -> str:
        """What kind of source it is."""
        return self.source.partition(":")[0]

    @property
    def place(self) -> str:
        """What follows the kind: a function or a path."""
        return self.source.partition(":")[2]

    @property
    def portable(self) -> str:
        """The source without folders of this machine, for names of what was made from it."""
        return _portable_source(self.source)

    @property
    def family(self) -> str:
        """What a manifest calls the family of the model."""
        return self.kind


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
