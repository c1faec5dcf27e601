"""The ``[training]`` table: how the teacher, the student and the converters learn."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.toml_file import Section
from pipeline.settings.quantities import Count, Rate, Share, Weight

#: Where features of a teacher are kept.
FeatureStorage = Literal["auto", "memory", "disk", "recompute"]


class OptimizerSettings(Section):
    """SGD with momentum.

    Attributes:
        epochs: how often every training image is seen.
        batch_size: images in a step.
        learning_rate: the highest of the schedule.
        min_learning_rate: where a cosine ends, in every group of parameters; by default 1e-5, or
            a twentieth of `learning_rate` where that is less. A one-cycle schedule has none.
        momentum: share of the step before that a step keeps.
        weight_decay: strength of the pull of all weights towards zero.
        schedule: how the learning rate goes: up and down again, or down along a cosine.
        gradient_norm: all gradients together are shortened to this Euclidean norm, and left as they
            are by 0. A ViT needs it, for without a final normalization its logits and gradients
            drive each other up.
        nesterov: look ahead along the momentum, or use it plainly, as the paper does.
        drop_last: whether images that do not fill the last batch of an epoch are left out of it;
            which ones these are changes with every epoch. Else they make a smaller batch.
        initial_weights: "normal" draws the weights of convolutions, linear layers and tokens from
            N(0, 0.02) and begins with biases of 0, as the published recipe does; "family" leaves
            them as the model's family draws them.
    """

    epochs: Count
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Rate = 0.05
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Weight = 5e-4
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    min_learning_rate: Weight | None = None
    gradient_norm: Weight = 0.0
    drop_last: bool = True
    initial_weights: Literal["family", "normal"] = "family"

    @model_validator(mode="after")
    def _schedule_has_its_end(self) -> Self:
        if self.min_learning_rate is None:
            return self
        if self.schedule != "cosine":
            raise ValueError(
                f"min_learning_rate is where a cosine ends, and schedule is {self.schedule!r}: "
                'leave it out, or set schedule = "cosine"'
            )
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate {self.min_learning_rate} is above learning_rate "
                f"{self.learning_rate}"
            )
        return self

    @property
    def cosine_floor(self) -> float:
        """The learning rate that a cosine schedule ends with."""
        if self.min_learning_rate is not None:
            return self.min_learning_rate
        return min(1e-5, self.learning_rate / 20)


class TeacherSettings(OptimizerSettings):
    """How the teacher is trained, on the labels alone.

    Attributes:
        label_smoothing: share of the certainty that is given to all classes alike.
        head_epochs: of a teacher that comes from elsewhere: so many of the epochs, the first ones,
            train its last linear layer alone, and all else stays as it came; with as many as
            `epochs`, to the end. Either part has a schedule of its own.
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    head_epochs: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _head_epochs_are_among_them(self) -> Self:
        if self.head_epochs > self.epochs:
            raise ValueError(
                f"head_epochs {self.head_epochs} is more than epochs {self.epochs}, which counts "
                "them, too"
            )
        return self

    def phases(self) -> tuple[Self | None, Self | None]:
        """The same for the epochs of the head alone, and for those of all; None where none is."""
        rest = self.epochs - self.head_epochs
        return (
            self.model_copy(update={"epochs": self.head_epochs}) if self.head_epochs else None,
            self.model_copy(update={"epochs": rest}) if rest else None,
        )


class JointDistillation(OptimizerSettings):
    """Student path and all prefix paths in one batch per student block (the default recipe).

    Attributes:
        recipe: this one.
        alpha: share of the cross entropy against the labels; the rest is distillation.
        temperature: softening of both distributions in the distillation term.
        cross_weight: weight of all mixed paths together, the student path weighing 1.
    """

    recipe: Literal["joint"]
    alpha: Share = 0.4
    temperature: Rate = 2.0
    cross_weight: Weight = 2.0

    @property
    def depends_on_routes(self) -> bool:
        """Whether the model serves only the routes that it is trained for."""
        return True


class ReferenceDistillation(OptimizerSettings):
    """The published recipe (arXiv 2509.22319): five loss terms, one random mixed network a step.

    The defaults are those of its official code.

    Attributes:
        recipe: this one.
        alpha: share of the cross entropy against the labels; the rest is distillation.
        temperature: softening of both distributions in the distillation term.
        sync_weight: weight of features that should be alike behind the converters.
        reconstruction_weight: weight of features that should come back through both converters.
        cross_weight: weight of the mixed networks.
        cross: the mixed networks of one step: "random" draws one of all that there are, which
            learns the divergence from the teacher; "all" is the mean over every route that ships,
            each of which learns the labels too.
        converter_rate_scale: times the learning rate is that of the converters.
    """

    recipe: Literal["reference"]
    batch_size: Annotated[int, Field(ge=2)] = 128
    nesterov: bool = False
    schedule: Literal["one-cycle", "cosine"] = "cosine"
    gradient_norm: Weight = 1.0
    drop_last: bool = False
    initial_weights: Literal["family", "normal"] = "normal"
    alpha: Share = 0.4
    temperature: Rate = 2.0
    sync_weight: Weight = 1.0
    reconstruction_weight: Weight = 1.0
    cross_weight: Weight = 2.0
    cross: Literal["random", "all"] = "random"
    converter_rate_scale: Rate = 0.2

    @property
    def depends_on_routes(self) -> bool:
        """Whether the model serves only the routes that it is trained for."""
        return self.cross == "all"


Distillation = Annotated[JointDistillation | ReferenceDistillation, Field(discriminator="recipe")]


class AugmentationSettings(Section):
    """Random changes of the training images, for teacher and student alike; none by default.

    Attributes:
        flip: left and right change places in every other image.
        crop: images are moved by up to this many pixels on either axis.
        border: what a moved image brings in: black, or its own edge reflected.
        rotation: images are turned about their center by up to this many degrees either way; what
            that brings in is black.
    """

    flip: bool = False
    crop: Annotated[int, Field(ge=0, le=64)] = 0
    border: Literal["black", "reflect"] = "black"
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0

    @model_validator(mode="after")
    def _border_is_seen(self) -> Self:
        if self.border == "reflect" and not self.crop:
            raise ValueError(
                'border = "reflect" changes nothing without crop: set crop, or leave border out'
            )
        return self

    @property
    def changes_nothing(self) -> bool:
        """Whether images stay as they are."""
        return not (self.flip or self.crop or self.rotation)


class TrainingSettings(Section):
    """Teacher first, then the student and its converters.

    `threads` is part of what makes a run reproducible: float sums depend on it.

    Attributes:
        threads: of the processor.
        augmentation: random changes of the training images.
        distillation: how the student and the converters learn.
        device: "auto" is a GPU if torch finds one. A build for the same profile, seed and kind of
            machine repeats byte for byte; a machine's GPU is part of its kind.
        precision: of forward pass and gradients; "bf16" pays where the processor multiplies
            bfloat16 numbers (AMX, AVX512-BF16; a GPU is not sure to gain by it). Weights,
            losses and the teacher's features are float32 all the same.
        teacher: None only where the model's source gives a teacher that is trained already.
        teacher_features: where the teacher's outputs for all training images are kept while the
            student learns: in "memory", in files of the cache's "disk" that end with the process,
            or nowhere, "recompute", which takes the teacher's time in every epoch. "auto" is memory
            if they take no more than half of what is available, else disk; which of them it is
            changes no bit of the result. Augmented images have features of their own in every
            epoch, of which none are kept.
    """

    threads: Annotated[int, Field(ge=1, le=1024)] = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    augmentation: AugmentationSettings = AugmentationSettings()
    teacher: TeacherSettings | None = None
    distillation: Distillation
    teacher_features: FeatureStorage = "auto"

    @model_validator(mode="after")
    def _features_are_kept(self) -> Self:
        if self.teacher_features in ("memory", "disk") and not self.augmentation.changes_nothing:
            raise ValueError(
                f'teacher_features = "{self.teacher_features}" keeps nothing, for augmented images '
                "have features of their own in every epoch: leave it out"
            )
        return self
