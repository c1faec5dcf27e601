"""Where a profile's model comes from: trained here, or taken from elsewhere. Quick to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.fingerprint import fingerprint
from pipeline.ingest.function import FunctionSource
from pipeline.ingest.reference.checkpoint import ReferenceCheckpoint
from pipeline.model.route import Route, prefix_routes
from pipeline.progress import Progress
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.ingest.ingested import IngestedModel
    from pipeline.model.pwl import PwlModel
    from pipeline.training.data.images import Dataset, ImageSpec
    from pipeline.training.journal import Journal
    from pipeline.training.processes import Processes
    from pipeline.training.score import BeforeTraining, TrainedModel
    from pipeline.training.train import Fresh


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model in eval mode, the images that it takes, and the routes that it is meant for."""

    model: PwlModel
    spec: ImageSpec
    routes: Sequence[Route]


def model_of(
    settings: Settings,
    cache: Path,
    progress: Progress,
    before_training: BeforeTraining | None = None,
) -> TrainedModel | IngestedModel:
    """The model of a profile, to be evaluated along any routes.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        before_training: as for `trained_model`.

    Raises:
        UsageError: settings, data and source do not fit together.
    """
    if settings.training is not None:
        return trained_model(settings, cache, progress, before_training=before_training)
    from pipeline.ingest.ingested import IngestedModel
    from pipeline.training.data.source import load_dataset

    dataset = load_dataset(settings.data, settings.seed, settings.schedule.held_out)
    with progress.task(f"{settings.model.family} model", total=1) as task:
        fresh = _fresh(settings, dataset, progress)
        task.advance(1)
    return IngestedModel(fresh.model, fresh.content, settings, dataset, cache, progress)


def trained_model(
    settings: Settings,
    cache: Path,
    progress: Progress,
    journal: Journal | None = None,
    processes: Processes | None = None,
    before_training: BeforeTraining | None = None,
) -> TrainedModel:
    """The model of a profile that is trained here.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        journal: where training writes its losses, if anywhere.
        processes: those that train it together.
        before_training: called with the model and the shape of its images, if it has to be trained.

    Raises:
        UsageError: settings, data and source do not fit together, or the model comes trained.
    """
    from pipeline.training.score import TrainedModel

    make = partial(_fresh, progress=progress)
    return TrainedModel(settings, cache, progress, make, journal, processes, before_training)


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


def source_content(settings: Settings) -> str:
    """Changes with what the model's source holds; empty for a model that is trained here.

    Raises:
        UsageError: there is no such source.
    """
    if not isinstance(settings.model, SourceModel):
        return ""
    if settings.model.kind == "reference":
        return ReferenceCheckpoint.find(settings.model.place).fingerprint()
    return FunctionSource.parse(settings.model.place).fingerprint()


def _open_source(source: SourceModel, progress: Progress) -> OpenModel:
    match source.kind:
        case "keras":
            raise UsageError(
                f"{source.source}: Keras blocks are made for the images of a profile",
                "name the profile (.toml) instead",
            )
        case "python":
            from pipeline.ingest.intake import own_model
            from pipeline.training.data.images import ImageSpec

            own = own_model(source, seed=0, training=None)
            channels, height, width = own.image_shape
            spec = ImageSpec(channels, (height, width), None)
            return OpenModel(own.model, spec, prefix_routes(own.model.blocks))
        case "reference":
            from pipeline.ingest.reference.model import read_reference

            found = read_reference(source.place, progress)
            return OpenModel(found.model, found.spec, prefix_routes(found.model.blocks))
        case _:
            raise ValueError(source.kind)


def _fresh(settings: Settings, dataset: Dataset, progress: Progress) -> Fresh:
    """The model of a profile as it is before any training here."""
    from pipeline.model.family import build_model
    from pipeline.training.train import Fresh

    if not isinstance(settings.model, SourceModel):
        shape, classes = dataset.image_shape, len(dataset.names)
        return Fresh(build_model(settings.model, shape, classes, settings.seed))
    model, content = _ingest(settings, settings.model, dataset, progress)
    return Fresh(model, fingerprint(source_content(settings), content))


def _ingest(
    settings: Settings, source: SourceModel, dataset: Dataset, progress: Progress
) -> tuple[PwlModel, str]:
    """The model of a source, in eval mode, checked against the data; and what names its weights."""
    match source.kind:
        case "keras":
            from pipeline.ingest.keras import keras_content, keras_model

            model = keras_model(source, dataset)
            return model, keras_content(model)
        case "python":
            from pipeline.ingest.intake import own_model

            own = own_model(source, settings.seed, settings.training)
            _require_fit(source, own.image_shape, own.classes, dataset)
            return own.model, own.content
        case "reference":
            from pipeline.ingest.reference.model import reference_model

            return reference_model(source.place, dataset, progress), ""
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
