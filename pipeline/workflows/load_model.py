"""Where a profile's model comes from: trained here, or taken from elsewhere. Quick to import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress
from pipeline.core.work import Work
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel
from pipeline.workflows.model_source import ModelSource

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.model.opened import OpenedModel
    from pipeline.model.pwl import BeforeTraining
    from pipeline.training.processes import Processes
    from pipeline.training.training_log import TrainingLog
    from pipeline.workflows.cached_trainer import CachedTrainer


def model_of(
    settings: Settings,
    cache: Path,
    progress: Progress,
    source: ModelSource | None = None,
    before_training: BeforeTraining | None = None,
) -> CachedTrainer:
    """The model of a profile, to be evaluated along any routes.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        source: of the profile's model, if there is one that was asked already.
        before_training: as for `trained_model`.

    Raises:
        UsageError: settings, data and source do not fit together.
    """
    source = source or ModelSource(settings, progress, Work(cache, progress))
    if settings.training is not None:
        return _trainer(settings, source, cache, before_training)
    from pipeline.workflows.cached_trainer import CachedTrainer
    from pipeline.workflows.training_cache import evaluation_file

    kept = evaluation_file(settings, cache, source.content_on_data())
    return CachedTrainer(source.model, source.dataset, progress, kept)


def trained_model(
    settings: Settings,
    cache: Path,
    progress: Progress,
    training_log: TrainingLog | None = None,
    processes: Processes | None = None,
    before_training: BeforeTraining | None = None,
) -> CachedTrainer:
    """The model of a profile that is trained here.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        training_log: where training writes its losses, if anywhere.
        processes: those that train it together.
        before_training: called with the model and the shape of its images, if it has to be trained.

    Raises:
        UsageError: settings, data and source do not fit together, or the model comes trained.
    """
    source = ModelSource(settings, progress, Work(cache, progress))
    return _trainer(settings, source, cache, before_training, training_log, processes)


def _trainer(
    settings: Settings,
    source: ModelSource,
    cache: Path,
    before_training: BeforeTraining | None,
    training_log: TrainingLog | None = None,
    processes: Processes | None = None,
) -> CachedTrainer:
    from pipeline.training.cached_training import Training, conditions_for
    from pipeline.training.processes import Processes
    from pipeline.training.training_log import NoTrainingLog
    from pipeline.workflows.cached_trainer import CachedTrainer
    from pipeline.workflows.training_cache import training_files, training_table

    table = training_table(settings)  # before any data is read
    dataset = source.dataset
    log, processes = training_log or NoTrainingLog(), processes or Processes()
    conditions = conditions_for(table, dataset, log, processes)
    files = training_files(settings, cache, source.content_on_data())
    training = Training(
        model=settings.model,
        table=table,
        seed=settings.seed,
        dataset=dataset,
        files=files,
        progress=source.progress,
        conditions=conditions,
    )
    return CachedTrainer(source.model, dataset, source.progress, training, before_training)


def open_model(text: str, progress: Progress) -> OpenedModel:
    """The model that a checkpoint or a source gives, without any data.

    Args:
        text: path of a checkpoint that `pipeline.train` wrote, or ``KIND:PLACE`` as in a profile.
        progress: told what is to be known about the model.

    Raises:
        UsageError: there is no such checkpoint or source, or it gives no model without data.
    """
    kind, colon, place = text.partition(":")
    if colon and kind in SOURCE_KINDS:
        if not place:
            raise UsageError(f"{text!r} names no model", f"write {kind}:PLACE")
        return _open_source(SourceModel(source=text), progress)
    from pipeline.training.trained import load_trained

    return load_trained(Path(text))


def _open_source(source: SourceModel, progress: Progress) -> OpenedModel:
    match source.kind:
        case "keras":
            raise UsageError(
                f"{source.source}: Keras blocks are made for the images of a profile",
                "name the profile (.toml) instead",
            )
        case "python" | "timm" | "transformers":
            from pipeline.ingest.intake import own_model

            opened, _ = own_model(source, 0, None, progress)
            return opened
        case "reference":
            from pipeline.ingest.reference.reference_model import read_reference

            return read_reference(source.place, progress)
        case _:
            raise ValueError(source.kind)
