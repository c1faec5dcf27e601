"""Profiles: the typed TOML files that say what to build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from pipeline.errors import UsageError
from pipeline.section import Section, load_toml

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class DigitsData(Section):
    """scikit-learn's 1,797 real 8x8 scans of handwritten digits."""

    source: Literal["digits"]
    image_size: Count = 8
    test_images: Annotated[int, Field(ge=1, le=1600)] = 597


class IdxData(Section):
    """A folder of the four IDX files that MNIST and its relatives are published as.

    Each file may be gzipped. `train_images` and `test_images` bound how many are used; the first
    ones of a shuffle by the profile's seed are taken, so that a bound keeps the classes mixed.
    """

    source: Literal["idx"]
    path: Path
    image_size: Count | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    labels: tuple[str, ...] | None = None


DataSettings = Annotated[DigitsData | IdxData, Field(discriminator="source")]


class ResNetSettings(Section):
    """One network of the ResNet family: a stem, stages of basic blocks, a linear classifier.

    Attributes:
        stem: channels after the stem (the embedder).
        stem_kernel, stem_stride: its convolution.
        widths: channels of each block.
        depths: basic layers in each block.
        strides: stride with which each block begins.
    """

    stem: Count = 64
    stem_kernel: Literal[1, 3, 5, 7] = 3
    stem_stride: Literal[1, 2] = 1
    widths: tuple[Count, ...]
    depths: tuple[Count, ...]
    strides: tuple[Literal[1, 2], ...] = ()

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if not self.widths:
            raise ValueError("widths: at least one block is needed")
        if len(self.depths) != len(self.widths):
            raise ValueError(
                f"depths has {len(self.depths)} entries but widths has {len(self.widths)}: "
                "give one of each per block"
            )
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
    """One network of the VGG family: blocks of 3x3 convolutions, each ending in a 2x2 pooling.

    Attributes:
        widths: channels of each block.
        depths: convolutions in each block.
    """

    widths: tuple[Count, ...]
    depths: tuple[Count, ...]

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if not self.widths:
            raise ValueError("widths: at least one block is needed")
        if len(self.depths) != len(self.widths):
            raise ValueError(
                f"depths has {len(self.depths)} entries but widths has {len(self.widths)}: "
                "give one of each per block"
            )
        return self


class VitSettings(Section):
    """One network of the ViT family: patches as tokens, blocks of encoder layers.

    Attributes:
        patch: height and width of a patch, in pixels.
        width: of a token.
        heads: of each attention.
        mlp_width: of each perceptron's hidden layer, by default four times `width`.
        depths: encoder layers in each block.
    """

    patch: Count
    width: Count
    heads: Count
    mlp_width: Count | None = None
    depths: tuple[Count, ...]

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


class ResNetModel(Section):
    """A teacher and a student of the ResNet family."""

    family: Literal["resnet"]
    teacher: ResNetSettings
    student: ResNetSettings

    @model_validator(mode="after")
    def _same_blocks(self) -> Self:
        _require_same_blocks(self.teacher.depths, self.student.depths)
        return self


class VggModel(Section):
    """A teacher and a student of the VGG family."""

    family: Literal["vgg"]
    teacher: VggSettings
    student: VggSettings

    @model_validator(mode="after")
    def _same_blocks(self) -> Self:
        _require_same_blocks(self.teacher.depths, self.student.depths)
        return self


class VitModel(Section):
    """A teacher and a student of the ViT family."""

    family: Literal["vit"]
    teacher: VitSettings
    student: VitSettings

    @model_validator(mode="after")
    def _same_blocks_and_tokens(self) -> Self:
        _require_same_blocks(self.teacher.depths, self.student.depths)
        teacher, student = self.teacher.patch, self.student.patch
        if teacher != student:
            raise ValueError(
                f"the teacher's patch is {teacher} and the student's {student}: "
                "blocks can be exchanged only between equal numbers of tokens"
            )
        return self


ModelSettings = Annotated[ResNetModel | VggModel | VitModel, Field(discriminator="family")]


def _require_same_blocks(teacher: tuple[int, ...], student: tuple[int, ...]) -> None:
    if len(teacher) != len(student):
        raise ValueError(
            f"the teacher has {len(teacher)} blocks and the student {len(student)}: "
            "progressive loading swaps block for block, so the counts must be equal"
        )


class OptimiserSettings(Section):
    """SGD with Nesterov momentum.

    Attributes:
        learning_rate: the highest of the schedule.
        gradient_norm: all gradients together are shortened to this Euclidean norm; a ViT needs it,
            for without a final normalisation its logits and gradients drive each other up.
    """

    epochs: Count
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Rate = 0.05
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    weight_decay: Weight = 5e-4
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    gradient_norm: Rate | None = None


class TeacherSettings(OptimiserSettings):
    """How the teacher is trained, on the labels alone."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class JointDistillation(OptimiserSettings):
    """Student path and all prefix paths in one batch per student block (the default recipe).

    Attributes:
        alpha: share of the cross entropy against the labels; the rest is distillation.
        temperature: softening of both distributions in the distillation term.
        cross_weight: weight of all mixed paths together, the student path weighing 1.
    """

    recipe: Literal["joint"]
    alpha: Share = 0.4
    temperature: Rate = 2.0
    cross_weight: Weight = 2.0


class ReferenceDistillation(OptimiserSettings):
    """The published recipe (arXiv 2509.22319): five loss terms, one random mixed network a step."""

    recipe: Literal["reference"]
    schedule: Literal["one-cycle", "cosine"] = "cosine"
    alpha: Share = 0.4
    temperature: Rate = 2.0
    sync_weight: Weight = 1.0
    reconstruction_weight: Weight = 1.0
    cross_weight: Weight = 2.0
    converter_rate_scale: Rate = 0.2


Distillation = Annotated[JointDistillation | ReferenceDistillation, Field(discriminator="recipe")]


class TrainingSettings(Section):
    """Teacher first, then the student and its converters.

    `threads` is part of what makes a run reproducible: float sums depend on it.
    """

    threads: Count = 2
    teacher: TeacherSettings
    distillation: Distillation
    feature_cache_mb: Annotated[int, Field(ge=0)] = 2048


BackendName = Literal["executorch", "litert"]


class LoweringSettings(Section):
    """The mobile format, and how far a lowered program may be from eager PyTorch.

    Attributes:
        backend: one name, or a list of them: then one training run gives a bundle of each.
        precision: of weights and arithmetic.
        tolerance: bounds the largest absolute difference over the largest absolute reference value.
    """

    backend: Annotated[
        tuple[BackendName, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
        Field(min_length=1),
    ] = ("executorch",)
    precision: Literal["fp32"] = "fp32"
    tolerance: Rate = 1e-4


class BundleSettings(Section):
    """What travels with the programs: golden inputs, and images for accuracy on the device."""

    golden_images: Annotated[int, Field(ge=1, le=256)] = 8
    evaluation_images: Annotated[int, Field(ge=1)] = 1000


class RuntimeSettings(Section):
    """How the device runs the bundle."""

    threads: Annotated[int, Field(ge=1, le=64)] = 1


class Settings(Section):
    """A whole profile."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSettings
    model: ModelSettings
    training: TrainingSettings
    lowering: LoweringSettings = LoweringSettings()
    bundle: BundleSettings = BundleSettings()
    runtime: RuntimeSettings = RuntimeSettings()


def backend_named(name: str) -> BackendName:
    """A backend's name from the command line.

    Raises:
        UsageError: there is none of that name.
    """
    for known in get_args(BackendName):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"--backend {name!r}", f"one of: {', '.join(get_args(BackendName))}")


def for_backend(settings: Settings, backend: BackendName) -> Settings:
    """The same profile for one backend alone."""
    lowering = settings.lowering.model_copy(update={"backend": (backend,)})
    return settings.model_copy(update={"lowering": lowering})


def load_settings(path: Path) -> Settings:
    """Reads a profile.

    Raises:
        UsageError: the file is missing, is no TOML, or holds wrong keys or values; all are named.
    """
    return load_toml(path, Settings)
