"""Where a profile's model comes from: trained here, or taken from elsewhere. Quick to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.ingest.function import FunctionSource
from pipeline.progress import Progress
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.ingest.ingested import IngestedModel
    from pipeline.model.pwl import PwlModel
    from pipeline.training.data.images import Dataset, ImageSpec
    from pipeline.training.score import TrainedModel


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model in eval mode, and the images that it takes."""

    model: PwlModel
    spec: ImageSpec


def model_of(settings: Settings, cache: Path, progress: Progress) -> TrainedModel | IngestedModel:
    """The model of a profile, to be evaluated along any routes.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.

    Raises:
        UsageError: settings, data and source do not fit together.
    """
    if not isinstance(settings.model, SourceModel):
        from pipeline.training.score import TrainedModel

        return TrainedModel(settings, cache, progress)
    from pipeline.training.data.source import load_dataset

    dataset = load_dataset(settings.data, settings.seed, settings.schedule.held_out)
    with progress.task(f"{settings.model.kind} model", total=1) as task:
        model = _ingest(settings.model, dataset)
        task.advance(1)
    content = source_content(settings)
    return IngestedModel(model, content, settings, dataset, cache, progress)


def open_model(text: str) -> OpenModel:
    """The model that a checkpoint or a source gives, without any data.

    Args:
        text: path of a checkpoint that `pipeline.train` wrote, or ``KIND:PLACE`` as in a profile.

    Raises:
        UsageError: there is no such checkpoint or source, or it gives no model without data.
    """
    kind, colon, place = text.partition(":")
    if colon and kind in SOURCE_KINDS:
        if not place:
            raise UsageError(f"{text!r} names no model", f"write {kind}:PLACE")
        return _open_source(SourceModel(source=text))
    from pipeline.training.trained import load_trained

    trained = load_trained(Path(text))
    return OpenModel(trained.model, trained.description.spec)


def source_content(settings: Settings) -> str:
    """Changes with what the model's source holds; empty for a model that is trained here.

    Raises:
        UsageError: there is no such source.
    """
    if not isinstance(settings.model, SourceModel):
        return ""
    return FunctionSource.parse(settings.model.place).fingerprint()


def _open_source(source: SourceModel) -> OpenModel:
    match source.kind:
        case "keras":
            raise UsageError(
                f"{source.source}: Keras blocks are made for the images of a profile",
                "name the profile (.toml) instead",
            )
        case _:
            raise ValueError(source.kind)


def _ingest(source: SourceModel, dataset: Dataset) -> PwlModel:
    """The model of a source, in eval mode, checked against the data."""
    match source.kind:
        case "keras":
            from pipeline.ingest.keras import keras_model

            return keras_model(source, dataset)
        case _:
            raise ValueError(source.kind)
