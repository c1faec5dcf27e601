"""From a profile and its data to a trained model, through a cache: nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.fingerprint import fingerprint, machine_kind, versions
from pipeline.core.producers import DATA, EVALUATION, TRAINING
from pipeline.core.progress import Progress
from pipeline.data.images import Dataset
from pipeline.data.normalization import Inputs
from pipeline.data.source import data_fingerprint
from pipeline.model.blocknet import BlockNet
from pipeline.model.checkpoint import load_into, load_tensors, save_tensors, whole_state
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import Settings, SourceModel, TeacherSettings, TrainingSettings
from pipeline.training.augment import Augmentation
from pipeline.training.conditions import Conditions
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible, require_batch
from pipeline.training.processes import Processes, device_for
from pipeline.training.restore import require_restorable
from pipeline.training.teacher import train_teacher
from pipeline.training.trained import Description, save_trained
from pipeline.training.training_log import NoTrainingLog, TrainingLog

#: Abilities of processors, as `machine_kind` names them, that compute in bfloat16.
_BF16 = {"amx_tile", "avx512_bf16", "bf16"}


def training_table(settings: Settings) -> TrainingSettings:
    """The ``[training]`` table of a profile whose model is trained here.

    Raises:
        UsageError: it comes trained.
    """
    if settings.training is None:
        raise UsageError(
            f"the model of {settings.name} comes from elsewhere and is not trained here",
            "build it: `python -m pipeline.build` evaluates it, too",
        )
    return settings.training


@dataclass(frozen=True, slots=True)
class UntrainedModel:
    """A model to be trained.

    Attributes:
        model: initialized; its teacher may be trained already.
        dataset: what it is trained on, normalized as the model's source states.
        content: changes with what the model was made from beside the profile.
    """

    model: PwlModel
    dataset: Dataset
    content: str = ""


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Where what is trained for a profile is kept; the names follow from what it is made of.

    Attributes:
        teacher: the teacher alone, which every student of it can share.
        model: the whole model; `load_trained` reads it.
    """

    teacher: Path
    model: Path

    @classmethod
    def of(cls, settings: Settings, cache: Path, content: str = "") -> TrainingFiles:
        """The files of a profile on this kind of machine, in `cache`.

        Args:
            settings: the profile.
            cache: their folder.
            content: what `UntrainedModel` says of the model.

        Raises:
            UsageError: the data is missing, or the model is not trained here.
        """
        training = training_table(settings)
        model = settings.model
        teacher, student = (
            (model.portable, "")
            if isinstance(model, SourceModel)
            else (model.teacher, model.student)
        )
        teacher_key = fingerprint(
            settings.seed,
            settings.schedule.held_out,
            settings.data,
            data_fingerprint(settings.data),
            model.family,
            teacher,
            content,
            # All that training depends on, also what is added one day, but for the student's part.
            training.model_dump(mode="json", exclude={"distillation", "feature_cache_mb"}),
            (DATA, TRAINING, EVALUATION),
            versions("torch", "numpy"),
            machine_kind(),
        )
        key = fingerprint(teacher_key, student, training.distillation, training.feature_cache_mb)
        return cls(
            cache / f"teacher-{teacher_key[:16]}.safetensors",
            cache / f"model-{key[:16]}.safetensors",
        )

    def trained_for(self, settings: Settings, routes: Sequence[Route] | None) -> TrainingFiles:
        """The files of the model that is trained for some routes, or for any."""
        training = training_table(settings)
        if not training.distillation.depends_on_routes:
            return self
        words = "any" if routes is None else [str(route) for route in routes]
        key = fingerprint(self.model.stem, words)
        return replace(self, model=self.model.with_stem(f"model-{key[:16]}"))

    @property
    def evaluation(self) -> Path:
        """Beside this is kept what the model says along each route."""
        return self.model.with_stem(self.model.stem.replace("model", "evaluation"))


def train(
    settings: Settings,
    dataset: Dataset,
    model: PwlModel,
    files: TrainingFiles,
    train_for: Sequence[Route] | None,
    progress: Progress,
    training_log: TrainingLog | None = None,
    processes: Processes | None = None,
) -> None:
    """Trains the model of a profile in place, or fills it from the cache; it ends in eval mode.

    An interrupted run goes on from its last epoch.

    Args:
        settings: the profile.
        dataset: what its ``[data]`` table names.
        model: initialized.
        files: where trained weights are kept; their folder is made when it is missing.
        train_for: the routes to train for; None: any.
        progress: told losses.
        training_log: where they are written down, if anywhere.
        processes: those that train it together; the first one alone keeps files.

    Raises:
        UsageError: the settings and the data do not fit together, or training diverged.
    """
    training = training_table(settings)
    processes = processes or Processes()
    for phase in (training.teacher, training.distillation):
        if phase is not None:
            require_batch(phase, len(dataset.train), processes)
    conditions = _conditions(training, dataset, training_log or NoTrainingLog(), processes)

    def teach(table: TeacherSettings, inputs: Inputs, labels: Tensor) -> None:
        train_teacher(
            model.teacher,
            inputs,
            labels,
            table,
            seed=2 * settings.seed,
            checkpoint=files.teacher.with_suffix(".partial"),
            progress=progress,
            conditions=conditions,
        )

    def teach_student() -> None:
        inputs = dataset.normalization.inputs(dataset.train.images)
        labels = torch.from_numpy(dataset.train.labels)
        on_processor = conditions.device.type == "cpu"
        if training.precision == "bf16" and on_processor and not _BF16 & {*machine_kind().split()}:
            progress.say(
                'precision = "bf16" hardly pays: this processor has no bfloat16 arithmetic'
            )
        if table := training.teacher:
            make = guarded(model.teacher, partial(teach, table, inputs, labels))
            _cached(files.teacher, model.teacher, make, keep_teacher, progress, conditions)
        distill(
            model,
            inputs,
            labels,
            train_for,
            training.distillation,
            feature_cache_mb=training.feature_cache_mb,
            seed=2 * settings.seed + 1,
            checkpoint=files.model.with_suffix(".partial"),
            progress=progress,
            conditions=conditions,
        )

    def guarded(module: BlockNet | PwlModel, make: Callable[[], None]) -> Callable[[], None]:
        """What trains a module of the user's, and then makes sure that a checkpoint will do."""
        if not isinstance(settings.model, SourceModel):
            return make
        source = settings.model.source

        def checked() -> None:
            initial = deepcopy(module)
            make()
            require_restorable(module, initial, dataset.image_shape, source)

        return checked

    def keep_teacher() -> None:
        save_tensors(files.teacher, whole_state(model.teacher), {})

    def keep() -> None:
        # Otherwise the same file train_for any order: what it was made for first says nothing.
        routes = train_for if training.distillation.depends_on_routes else None
        save_trained(files.model, model, Description.of(settings.model, dataset, routes))

    with reproducible(training.threads):
        make = guarded(model, teach_student)
        _cached(files.model, model, make, keep, progress, conditions)
    model.cpu().eval()


def _conditions(
    training: TrainingSettings, dataset: Dataset, training_log: TrainingLog, processes: Processes
) -> Conditions:
    augmentation = None
    if not training.augmentation.changes_nothing:
        crop, (_, *size) = training.augmentation.crop, dataset.image_shape
        if crop >= min(size):
            raise UsageError(
                f"training.augmentation.crop = {crop} can move images of {size[1]}x{size[0]} "
                "pixels out of sight",
                f"make it {min(size) - 1} or less",
            )
        augmentation = Augmentation.of(training.augmentation, dataset.normalization)
    device = device_for(training.device)
    return Conditions(augmentation, training.precision, device, processes, training_log)


def _cached(
    file: Path,
    module: nn.Module,
    make: Callable[[], None],
    keep: Callable[[], None],
    progress: Progress,
    conditions: Conditions,
) -> None:
    """Fills `module` from `file`, or by `make`; `keep` then writes it to `file`."""
    if conditions.processes.agree(file.exists(), conditions.device):
        try:
            load_into(module, load_tensors(file)[0], file)
        except IntegrityError as error:
            progress.say(f"{error.what}; training again")
        else:
            return
    make()
    if conditions.processes.first:
        keep()
