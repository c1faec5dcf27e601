"""From a profile and its data to a trained model, through a cache: nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import IntegrityError, UsageError
from pipeline.fingerprint import fingerprint, machine_kind, source_fingerprint, versions
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.progress import Progress
from pipeline.settings import FamilyModel, Settings, SourceModel, TrainingSettings
from pipeline.training.augment import Augmentation
from pipeline.training.checkpoint import load_into, load_tensors, save_tensors
from pipeline.training.conditions import Conditions
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import data_fingerprint
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.journal import Journal, NoJournal
from pipeline.training.processes import Processes, device_for
from pipeline.training.teacher import train_teacher
from pipeline.training.trained import Description, save_trained

#: Abilities of processors, as `machine_kind` names them, that compute in bfloat16.
_BF16 = {"amx_tile", "avx512_bf16", "bf16"}


def training_tables(settings: Settings) -> tuple[FamilyModel, TrainingSettings]:
    """The tables of a profile whose model is trained here.

    Raises:
        UsageError: its model comes from elsewhere.
    """
    if isinstance(settings.model, SourceModel) or settings.training is None:
        raise UsageError(
            f"the model of {settings.name} comes from elsewhere and is not trained here",
            "build it: `python -m pipeline.build` evaluates it, too",
        )
    return settings.model, settings.training


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
    def of(cls, settings: Settings, cache: Path) -> TrainingFiles:
        """The files of a profile on this kind of machine, in `cache`.

        Raises:
            UsageError: the data is missing, or the model is not trained here.
        """
        model, training = training_tables(settings)
        teacher_key = fingerprint(
            settings.seed,
            settings.data,
            data_fingerprint(settings.data),
            model.family,
            model.teacher,
            # All that training depends on, also what is added one day, but for the student's part.
            training.model_dump(mode="json", exclude={"distillation", "feature_cache_mb"}),
            source_fingerprint("model", "training"),
            versions("torch", "numpy"),
            machine_kind(),
        )
        key = fingerprint(
            teacher_key, model.student, training.distillation, training.feature_cache_mb
        )
        return cls(
            cache / f"teacher-{teacher_key[:16]}.safetensors",
            cache / f"model-{key[:16]}.safetensors",
        )

    def evaluation(self, route: Route | None = None) -> Path:
        """What the model said along a route, or along those that ship.

        They lie apart, so that asking for another route never costs a build its file.
        """
        stem = self.model.stem.replace("model", "evaluation")
        return self.model.with_name(f"{stem}{f'-{route}' if route else ''}.safetensors")


def train(
    settings: Settings,
    dataset: Dataset,
    files: TrainingFiles,
    progress: Progress,
    journal: Journal | None = None,
    processes: Processes | None = None,
) -> PwlModel:
    """The trained model of a profile, in eval mode, from the cache where it is there.

    An interrupted run goes on from its last epoch.

    Args:
        settings: the profile.
        dataset: what its ``[data]`` table names.
        files: where trained weights are kept; their folder is made when it is missing.
        progress: told losses.
        journal: where they are written down, if anywhere.
        processes: those that train it together; the first one alone keeps files.

    Raises:
        UsageError: the settings and the data do not fit together, or training diverged.
    """
    tables, training = training_tables(settings)
    model = build_model(tables, dataset.image_shape, len(dataset.names), settings.seed)
    inputs = dataset.normalisation.apply(dataset.train.images)
    labels = torch.from_numpy(dataset.train.labels)
    processes = processes or Processes()
    for table in (training.teacher, training.distillation):
        processes.share(table.batch_size)
    conditions = _conditions(training, dataset, journal or NoJournal(), processes)

    def teach() -> None:
        train_teacher(
            model.teacher,
            inputs,
            labels,
            training.teacher,
            seed=2 * settings.seed,
            checkpoint=files.teacher.with_suffix(".partial"),
            progress=progress,
            conditions=conditions,
        )

    def teach_student() -> None:
        on_processor = conditions.device.type == "cpu"
        if training.precision == "bf16" and on_processor and not _BF16 & {*machine_kind().split()}:
            progress.say(
                'precision = "bf16" hardly pays: this processor has no bfloat16 arithmetic'
            )
        _cached(files.teacher, model.teacher, teach, keep_teacher, progress, conditions)
        distill(
            model,
            inputs,
            labels,
            training.distillation,
            feature_cache_mb=training.feature_cache_mb,
            seed=2 * settings.seed + 1,
            checkpoint=files.model.with_suffix(".partial"),
            progress=progress,
            conditions=conditions,
        )

    def keep_teacher() -> None:
        save_tensors(files.teacher, model.teacher.state_dict(), {})

    def keep() -> None:
        save_trained(files.model, model, Description.of(tables, dataset))

    with reproducible(training.threads):
        _cached(files.model, model, teach_student, keep, progress, conditions)
    return model.cpu().eval()


def _conditions(
    training: TrainingSettings, dataset: Dataset, journal: Journal, processes: Processes
) -> Conditions:
    augmentation = None
    if not training.augmentation.changes_nothing:
        augmentation = Augmentation.of(training.augmentation, dataset.normalisation)
    device = device_for(training.device)
    return Conditions(augmentation, training.precision, device, processes, journal)


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
