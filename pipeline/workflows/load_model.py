"""Where a profile's model comes from: trained here, or taken from elsewhere. Quick to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.progress import Progress
from pipeline.ingest.function import FunctionSource
from pipeline.ingest.reference.checkpoint import ReferenceCheckpoint
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.data.images import Dataset, ImageSpec
    from pipeline.ingest.intake import Ingested
    from pipeline.model.pwl import BeforeTraining, PwlModel
    from pipeline.training.processes import Processes
    from pipeline.training.train import SourcedModel
    from pipeline.training.training_log import TrainingLog
    from pipeline.workflows.cached_trainer import CachedTrainer
    from pipeline.workflows.pretrained_model import PretrainedModel


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model in eval mode, the images that it takes, and the routes that it is meant for."""

    model: PwlModel
    spec: ImageSpec
    routes: Sequence[Route]


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
        self._progress = progress
        self._keras: PwlModel | None = None

    def content(self) -> str:
        """Changes with what the source gives; empty for a model that is made and trained here.

        A function is asked: what it reads, and what its modules compute, no text of it tells. The
        files of a reference checkpoint say everything, and are read without torch.

        Raises:
            UsageError: there is no such source, or what it gives does not fit together.
        """
        source = self._settings.model
        if not isinstance(source, SourceModel):
            return ""
        if source.kind == "reference":
            return ReferenceCheckpoint.find(source.place).fingerprint()
        text = FunctionSource.parse(source.place).fingerprint()
        if source.kind == "python":
            return fingerprint(text, self._own.content.key, str(self._own.normalization))
        from pipeline.ingest.keras import keras_content

        dataset = self._stated_by_profile(source, self._dataset)
        return fingerprint(text, keras_content(self._keras_model(source, dataset)))

    def _checked(self, dataset: Dataset) -> SourcedModel:
        """The model, checked against the data of the profile."""
        from pipeline.training.initial import initial_model
        from pipeline.training.train import SourcedModel

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
        from pipeline.ingest.normalization import normalized

        dataset = self._stated_by_profile(source, dataset)
        match source.kind:
            case "keras":
                return self._keras_model(source, dataset), dataset
            case "python":
                _require_fit(source, self._own.image_shape, self._own.classes, dataset)
                model, stated = self._own.model, self._own.normalization
            case "reference":
                from pipeline.ingest.reference.model import reference_model

                found = reference_model(source.place, dataset, self._progress)
                model, stated = found.model, found.spec.normalization
            case _:
                raise ValueError(source.kind)
        if stated is not None:
            dataset = normalized(dataset, stated, source, by="model")
        return model, dataset

    def _stated_by_profile(self, source: SourceModel, dataset: Dataset) -> Dataset:
        """The data, normalized as the ``[model]`` table says if it does."""
        from pipeline.data.normalization import Normalization
        from pipeline.ingest.normalization import normalized

        if source.normalization is None:
            return dataset
        stated = Normalization(source.normalization.mean, source.normalization.std)
        return normalized(dataset, stated, source, by="profile")

    @cached_property
    def _own(self) -> Ingested:
        from pipeline.ingest.intake import own_model

        source = self._settings.model
        assert isinstance(source, SourceModel)
        own = own_model(source, self._settings.seed, self._settings.training)
        if not own.repeated:
            self._progress.say(
                f"{source.source} takes long, so it was not called again to see whether it gives "
                "the same model; if it does not, all is made anew each time"
            )
        if own.unstable:
            self._progress.say(
                f"{source.source}: {', '.join(own.unstable[:4])} change at every call; they are "
                "taken to mean nothing, for the answers stay the same"
            )
        return own

    def sourced(self) -> SourcedModel:
        """The model as it comes, and the profile's data as it takes them.

        Raises:
            UsageError: data and source do not fit together, or one of them is not there.
        """
        if self._settings.training is not None:
            return self._checked(self._dataset)
        dataset = self._dataset
        with self._progress.task(f"{self._settings.model.family} model", total=1) as task:
            sourced = self._checked(dataset)
            task.advance(1)
        return sourced

    @cached_property
    def _dataset(self) -> Dataset:
        from pipeline.data.source import load_dataset

        settings = self._settings
        return load_dataset(settings.data, settings.seed, settings.schedule.held_out)

    def _keras_model(self, source: SourceModel, dataset: Dataset) -> PwlModel:
        from pipeline.ingest.keras import keras_model

        if self._keras is None:
            with self._progress.task("keras model", total=1) as task:
                self._keras = keras_model(source, dataset)
                task.advance(1)
        return self._keras


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
        from pipeline.training.train import Training
        from pipeline.workflows.cached_trainer import CachedTrainer

        sourced = source.sourced()
        training = Training.of(settings, sourced.dataset, progress)
        return CachedTrainer(training, sourced, cache, before_training)
    from pipeline.workflows.pretrained_model import PretrainedModel

    return PretrainedModel(source.sourced(), settings, cache, progress)


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
    from pipeline.training.train import Training
    from pipeline.training.training_files import training_table
    from pipeline.workflows.cached_trainer import CachedTrainer

    training_table(settings)  # before any data is read
    sourced = ModelSource(settings, progress).sourced()
    training = Training.of(settings, sourced.dataset, progress, training_log, processes)
    return CachedTrainer(training, sourced, cache, before_training)


def open_model(text: str, progress: Progress) -> OpenModel:
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

    trained = load_trained(Path(text))
    return OpenModel(trained.model, trained.description.spec, trained.routes)


def _open_source(source: SourceModel, progress: Progress) -> OpenModel:
    match source.kind:
        case "keras":
            raise UsageError(
                f"{source.source}: Keras blocks are made for the images of a profile",
                "name the profile (.toml) instead",
            )
        case "python":
            from pipeline.data.images import ImageSpec
            from pipeline.ingest.intake import own_model

            own = own_model(source, seed=0, training=None)
            channels, height, width = own.image_shape
            spec = ImageSpec(channels, (height, width), own.normalization)
            return OpenModel(own.model, spec, prefix_routes(own.model.blocks))
        case "reference":
            from pipeline.ingest.reference.model import read_reference

            found = read_reference(source.place, progress)
            return OpenModel(found.model, found.spec, prefix_routes(found.model.blocks))
        case _:
            raise ValueError(source.kind)


def _require_fit(
    source: SourceModel, image_shape: tuple[int, ...], classes: int, dataset: Dataset
) -> None:
    if image_shape != dataset.image_shape:
        raise UsageError(
            f"{source.source} is made for images {list(image_shape)}, the data has "
            f"{list(dataset.image_shape)} (channels, height, width)",
            "correct image_shape there, or image_size in [data]",
        )
    if classes != len(dataset.names):
        raise UsageError(
            f"{source.source}: the classifiers give {classes} logits, the data has "
            f"{len(dataset.names)} labels",
            "give one logit per label",
        )
