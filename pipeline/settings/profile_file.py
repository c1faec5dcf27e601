"""A whole profile: the typed TOML file that says what to build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipeline.core.errors import UsageError
from pipeline.core.toml_file import Section, TextPattern, load_toml
from pipeline.settings.android_settings import AndroidSettings
from pipeline.settings.arm_settings import ArmSettings
from pipeline.settings.backends import BACKENDS, BackendName
from pipeline.settings.data_settings import DataSettings, FolderData, NpzData
from pipeline.settings.model_settings import ModelSettings
from pipeline.settings.precision_settings import PLAIN, LoweringPrecision, PrecisionSettings
from pipeline.settings.quantities import Cosine, Share
from pipeline.settings.runtime_settings import RuntimeSettings, with_orders_of_favor
from pipeline.settings.schedule_settings import ScheduleSettings
from pipeline.settings.source_model import NETWORK_KINDS, SourceModel
from pipeline.settings.task_settings import TaskSettings
from pipeline.settings.training_settings import TrainingSettings


def _each_once(names: tuple[BackendName, ...]) -> tuple[BackendName, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a backend is named twice")
    return names


def _each_name_once(arms: tuple[ArmSettings, ...]) -> tuple[ArmSettings, ...]:
    names = [arm.name for arm in arms]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two arms are called {twice[0]!r}")
    return arms


class LoweringSettings(Section):
    """The mobile format, and how far a lowered program may be from eager PyTorch.

    Attributes:
        backend: one name, or a list of them: then one training run gives a bundle of each.
        precision: of weights and arithmetic.
        tolerance: bounds the largest absolute difference over the largest absolute reference value
            of programs that compute in float32.
    """

    backend: Annotated[
        tuple[BackendName, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
        Field(min_length=1),
        AfterValidator(_each_once),
    ] = ("executorch",)
    precision: LoweringPrecision = PrecisionSettings()
    tolerance: Annotated[float, Field(gt=0, le=0.1)] = 1e-4


class BundleSettings(Section):
    """What travels with the programs, and how accurate they have to be for it.

    Attributes:
        golden_images: the first so many test images are run by eager PyTorch, and every program
            and device has to give the same logits.
        evaluation_images: the first so many test images measure accuracy on the device. Of both,
            there are no more than test images.
        evaluation_mb: of those, as many as have so many million bytes, uncompressed as a bundle
            holds them: 8 are 53 images of 224x224 pixels in color. One there is always.
        least_top1: the build ends with exit status 4 and writes no bundle where the final stage
            (the whole teacher) gets a smaller share of the test images right, or of their labeled
            pixels, in eager PyTorch.
        least_balanced: the same for balanced accuracy, the mean of the shares of each class: who
            always answers the largest class gets ``1 / classes``.
        least_mean_iou: the same for mean IoU, of a dense task.
        least_cosine: of an embedding task the same for the mean cosine to the teacher of every
            stage that ships, as that of the whole teacher says nothing.
    """

    golden_images: Annotated[int, Field(ge=1, le=256)] = 8
    evaluation_images: Annotated[int, Field(ge=1)] = 1000
    evaluation_mb: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 8
    least_top1: Share | None = None
    least_balanced: Share | None = None
    least_mean_iou: Share | None = None
    least_cosine: Cosine | None = None

    def evaluated(self, images: int, image_bytes: int) -> int:
        """How many of so many test images of so many bytes go into a bundle to be evaluated."""
        in_bytes = max(1, int(self.evaluation_mb * 1e6 / image_bytes))
        return min(self.evaluation_images, images, in_bytes)


class Settings(Section):
    """A whole profile.

    Attributes:
        name: of the bundle, and of its folder below ``dist/``.
        seed: all random choices follow from it.
        data: images and labels.
        task: what the networks answer.
        model: the networks.
        training: how they learn; left out where the model comes trained.
        schedule: which stages ship.
        lowering: the mobile format.
        bundle: what travels with the programs.
        runtime: how a device runs them.
        android: how an app gets it.
        arm: what the bundle is measured against beside student and teacher.
    """

    name: Annotated[
        str,
        TextPattern(
            r"^[a-z0-9][a-z0-9._-]{0,63}$",
            "lower-case letters, digits, '.', '_' and '-', the first one a letter or digit, "
            "64 at most",
        ),
    ]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSettings
    task: TaskSettings = TaskSettings()
    model: ModelSettings
    training: TrainingSettings | None = None
    schedule: ScheduleSettings = ScheduleSettings()
    lowering: LoweringSettings = LoweringSettings()
    bundle: BundleSettings = BundleSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    # Not part of what a bundle is made from: another delivery gives the same bundle.
    android: Annotated[AndroidSettings, Field(exclude=True)] = AndroidSettings()
    arm: Annotated[tuple[ArmSettings, ...], AfterValidator(_each_name_once)] = ()

    @property
    def quantized(self) -> bool:
        """Whether any program of the bundle or its arms does not compute in float32."""
        return self.lowering.precision.quantized or any(arm.precision != PLAIN for arm in self.arm)

    @model_validator(mode="before")
    @classmethod
    def _orders_follow_from_favor(cls, tables: object) -> object:
        return with_orders_of_favor(tables)

    @model_validator(mode="after")
    def _task_is_possible(self) -> Self:
        if self.bundle.least_mean_iou is not None and self.task.kind != "dense":
            raise ValueError('bundle.least_mean_iou is of task.kind = "dense" alone: leave it out')
        if self.bundle.least_cosine is not None and self.task.kind != "embedding":
            raise ValueError(
                'bundle.least_cosine is of task.kind = "embedding" alone: name least_top1'
            )
        if self.task.kind != "classification":
            _require_possible(self)
        return self

    @model_validator(mode="after")
    def _model_and_training_agree(self) -> Self:
        match self.model:
            case SourceModel(kind="keras"):
                if self.training is not None:
                    raise ValueError("a Keras model comes trained: leave [training] out")
                if self.lowering.backend != ("litert",):
                    raise ValueError('a Keras model needs [lowering] backend = "litert"')
                if self.schedule.orders != ("prefix",):
                    raise ValueError('a Keras model has no decoders: leave orders at ["prefix"]')
                if self.quantized:
                    raise ValueError('a Keras model is lowered as it is: leave precision at "fp32"')
            case SourceModel(kind="reference"):
                if self.training is not None:
                    raise ValueError("a reference checkpoint comes trained: leave [training] out")
            case SourceModel(kind="python" | "timm" | "transformers"):
                _require_own_weights(self.training)
            case _ if self.training is None:
                raise ValueError("training: field required")
            case _ if self.training.teacher is None:
                raise ValueError("training.teacher: field required")
            case _ if self.training.teacher.head_epochs:
                raise ValueError(
                    "training.teacher: head_epochs is for a teacher that comes from elsewhere; a "
                    "family's is trained from its first weights on: leave it out"
                )
        return self


def _require_possible(settings: Settings) -> None:
    """What else a profile must not ask for where its networks do not classify."""
    model, training = settings.model, settings.training
    own = isinstance(model, SourceModel) and model.kind in NETWORK_KINDS
    table = training.teacher if training else None
    problems = {
        'its networks are your own or a library\'s: source = "python:FILE.py:FUNCTION", '
        '"transformers:FOLDER" or "timm:FOLDER" in [model]': own,
        'no head is replaced: leave head = "replace" out of [model.teacher]': (
            not isinstance(model, SourceModel) or model.teacher.head == "keep"
        ),
        "no head is trained alone: leave head_epochs out of [training.teacher]": (
            not (table and table.head_epochs)
        ),
        **(_of_maps if settings.task.kind == "dense" else _of_embeddings)(settings),
    }
    if broken := [words for words, holds in problems.items() if not holds]:
        raise ValueError(f'task.kind = "{settings.task.kind}": ' + "; ".join(broken))


def _of_maps(settings: Settings) -> dict[str, bool]:
    data = settings.data
    return {
        'its data are an .npz file or a folder: source = "npz" or "images" in [data]': (
            isinstance(data, NpzData | FolderData)
        ),
        "label maps that are no files are not resized: leave image_size out of [data]": (
            isinstance(data, FolderData) or data.image_size is None
        ),
    }


def _of_embeddings(settings: Settings) -> dict[str, bool]:
    training, bundle = settings.training, settings.bundle
    given = training.distillation.model_fields_set if training else set()
    return {
        "the teacher is used as it is: leave [training.teacher] out": (
            training is None or training.teacher is None
        ),
        "there are no labels and no logits: leave alpha and temperature out of "
        "[training.distillation]": not given & {"alpha", "temperature"},
        "there is no accuracy: name least_cosine in place of least_top1 and least_balanced in "
        "[bundle]": bundle.least_top1 is None and bundle.least_balanced is None,
    }


def _require_own_weights(training: TrainingSettings | None) -> None:
    """A function's model may come trained, as a whole or its teacher alone: nothing draws anew."""
    tables = (training.teacher, training.distillation) if training else ()
    if any(table and "initial_weights" in table.model_fields_set for table in tables):
        raise ValueError(
            "training: initial_weights is for the families; a model of your own begins with the "
            "weights that its source gives: leave it out"
        )


def backend_named(name: str) -> BackendName:
    """A backend's name from the command line.

    Raises:
        UsageError: there is none of that name.
    """
    if name in BACKENDS:
        return name
    raise UsageError(f"--backend {name!r}", f"one of: {', '.join(BACKENDS)}")


def for_backends(settings: Settings, backends: Sequence[BackendName]) -> Settings:
    """The same profile for some backends alone.

    Raises:
        UsageError: one of them has not every recipe that the profile names.
    """
    precision = settings.lowering.precision
    named = {*precision.student, *precision.teacher, *(arm.precision for arm in settings.arm)}
    named.add(precision.first_teacher or PLAIN)
    for backend in backends:
        recipes = BACKENDS[backend].recipes
        known = {PLAIN, *recipes, *(("int8",) if recipes else ())}
        if missing := sorted(named - known):
            raise UsageError(
                f"the profile {settings.name} asks for {missing[0]}, which {backend} does not have",
                f"its precisions are: {', '.join(sorted(known))}",
            )
    lowering = settings.lowering.model_copy(update={"backend": tuple(backends)})
    return settings.model_copy(update={"lowering": lowering})


def with_precision(settings: Settings, precision: PrecisionSettings) -> Settings:
    """The same profile with another ``[lowering.precision]`` table."""
    lowering = settings.lowering.model_copy(update={"precision": precision})
    return settings.model_copy(update={"lowering": lowering})


def for_backend(settings: Settings, backend: BackendName) -> Settings:
    """The same profile for one backend alone."""
    return for_backends(settings, (backend,))


def load_settings(path: Path) -> Settings:
    """Reads a profile.

    Raises:
        UsageError: the file is missing, is no TOML, or holds wrong keys or values; all are named.
    """
    return load_toml(path, Settings)
