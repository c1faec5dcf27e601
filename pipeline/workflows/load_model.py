"""Where a profile's model comes from: trained here, or taken from elsewhere. Quick to import."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.producers import INGEST
from pipeline.core.progress import Progress
from pipeline.ingest.function import FunctionSource
from pipeline.ingest.label_order import require_order
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel
from pipeline.workflows.profile_settings import with_told_resizing

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.data.images import Dataset
    from pipeline.model.content import Content
    from pipeline.model.opened import OpenedModel
    from pipeline.model.pwl import BeforeTraining, PwlModel
    from pipeline.training.cached_training import SourcedModel
    from pipeline.training.processes import Processes
    from pipeline.training.training_log import TrainingLog
    from pipeline.workflows.cached_trainer import CachedTrainer
    from pipeline.workflows.pretrained_model import PretrainedModel


class ModelSource:
    """What a profile's ``[model]`` table gives before any training here.

    A function is called when its model or its content is first asked for, and not again.

    Args:
        settings: the profile, with all backends that bundles of the model are built for.
        progress: told everything that takes time.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self.backends = settings.lowering.backend
        self._settings = settings
        self.progress = progress

    def content(self) -> str:
        """Changes with what the source gives; empty for a model that is made and trained here.

        A function is asked: no text of it tells what it reads, and what its modules compute.

        Raises:
            UsageError: there is no such source, or what it gives does not fit together.
        """
        source = self._settings.model
        if not isinstance(source, SourceModel):
            return ""
        if source.kind == "reference":
            from pipeline.ingest.reference.checkpoint_folder import ReferenceCheckpoint

            return fingerprint(INGEST, ReferenceCheckpoint.find(source.place).fingerprint())
        if source.kind == "keras":
            from pipeline.ingest.keras import keras_content

            text = FunctionSource.parse(source.place).fingerprint()
            return fingerprint(INGEST, text, keras_content(self._keras))
        from pipeline.ingest.calling import functions_of

        opened, content = self._own
        texts = (function.fingerprint() for function in functions_of(source))
        return fingerprint(INGEST, *texts, content.key, str(opened.spec.normalization))

    def _checked(self, dataset: Dataset) -> SourcedModel:
        """The model, checked against the data of the profile."""
        from pipeline.training.cached_training import SourcedModel
        from pipeline.training.initial import initial_model

        settings = self._settings
        if not isinstance(settings.model, SourceModel):
            shape, classes = dataset.image_shape, len(dataset.names)
            made = initial_model(settings.model, settings.training, shape, classes, settings.seed)
            return SourcedModel(made, dataset)
        model, normalized = self._sourced(settings.model, dataset)
        used = str(normalized.normalization) if normalized.stated_by else ""
        return SourcedModel(model, normalized, fingerprint(self.content(), used))

    def _sourced(self, source: SourceModel, dataset: Dataset) -> tuple[PwlModel, Dataset]:
        """The model of a source, in eval mode, and the data normalized as somebody states."""
        from pipeline.ingest.stated_normalization import normalized

        dataset = self._stated_by_profile(source, dataset)
        match source.kind:
            case "keras":
                return self._keras, dataset
            case "python" | "transformers":
                opened, _ = self._own
                _require_fit(source, opened, dataset)
                dataset = with_told_resizing(dataset, self._settings)
            case "reference":
                from pipeline.ingest.reference.reference_model import reference_model

                opened = reference_model(source.place, dataset, self.progress)
            case _:
                raise ValueError(source.kind)
        if (stated := opened.spec.normalization) is not None:
            dataset = normalized(dataset, stated, source, by="model")
        return opened.model, dataset

    def _stated_by_profile(self, source: SourceModel, dataset: Dataset) -> Dataset:
        """The data, normalized as the ``[model]`` table says if it does."""
        from pipeline.data.normalization import Normalization
        from pipeline.ingest.stated_normalization import normalized

        if source.normalization is None:
            return dataset
        stated = Normalization(source.normalization.mean, source.normalization.std)
        return normalized(dataset, stated, source, by="profile")

    @cached_property
    def _own(self) -> tuple[OpenedModel, Content]:
        from pipeline.ingest.intake import own_model

        settings = self._settings
        assert isinstance(settings.model, SourceModel)
        return own_model(
            settings.model,
            settings.seed,
            settings.training,
            self.progress,
            lambda: self._dataset.image_shape,
        )

    def sourced(self) -> SourcedModel:
        """The model as it comes, and the profile's data as it takes them.

        Raises:
            UsageError: data and source do not fit together, or one of them is not there.
        """
        if self._settings.training is not None:
            return self._checked(self._dataset)
        dataset = self._dataset
        with self.progress.task(f"{self._settings.model.family} model", total=1) as task:
            sourced = self._checked(dataset)
            task.advance(1)
        return sourced

    @cached_property
    def _dataset(self) -> Dataset:
        from pipeline.data.source import load_dataset

        settings = self._settings
        return load_dataset(settings.data, settings.seed, settings.schedule.held_out)

    @cached_property
    def _keras(self) -> PwlModel:
        from pipeline.ingest.keras import keras_model

        source = self._settings.model
        assert isinstance(source, SourceModel)
        dataset = self._stated_by_profile(source, self._dataset)
        with self.progress.task("keras model", total=1) as task:
            model = keras_model(source, dataset)
            task.advance(1)
        return model


def model_of(
    settings: Settings,
    cache: Path,
    progress: Progress,
    source: ModelSource | None = None,
    before_training: BeforeTraining | None = None,
) -> CachedTrainer | PretrainedModel:
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
    source = source or ModelSource(settings, progress)
    if settings.training is not None:
        return _trainer(settings, source, cache, before_training)
    from pipeline.workflows.pretrained_model import PretrainedModel
    from pipeline.workflows.training_cache import evaluation_file

    sourced = source.sourced()
    keep = evaluation_file(settings, cache, sourced.content)
    return PretrainedModel(sourced.model, sourced.dataset, keep, progress)


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
    source = ModelSource(settings, progress)
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
    sourced = source.sourced()
    dataset = sourced.dataset
    log, processes = training_log or NoTrainingLog(), processes or Processes()
    conditions = conditions_for(table, dataset, log, processes)
    training = Training(settings.model, table, settings.seed, dataset, source.progress, conditions)
    files = training_files(settings, cache, sourced.content)
    return CachedTrainer(training, sourced.model, files, before_training)


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
        case "python" | "transformers":
            from pipeline.ingest.intake import own_model

            opened, _ = own_model(source, 0, None, progress)
            return opened
        case "reference":
            from pipeline.ingest.reference.reference_model import read_reference

            return read_reference(source.place, progress)
        case _:
            raise ValueError(source.kind)


def _require_fit(source: SourceModel, opened: OpenedModel, dataset: Dataset) -> None:
    channels, height, width = dataset.image_shape
    if not opened.spec.takes(channels, (height, width)):
        made = [opened.spec.channels, *(opened.spec.size or ())]
        raise UsageError(
            f"{source.source} is made for images {made}, the data has {[channels, height, width]} "
            "(channels, height, width)",
            "correct image_shape there, or image_size in [data]",
        )
    if opened.classes != len(dataset.names):
        raise UsageError(
            f"{source.source}: the classifiers give {opened.classes} logits, the data has "
            f"{len(dataset.names)} labels",
            "name data of the labels that it was trained for, or train it for these",
        )
    if opened.labels:
        require_order(dataset.names, opened.labels, source.source, "the data")
