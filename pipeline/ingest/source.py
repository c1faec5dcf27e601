"""Where a profile's model comes from: trained here, or taken from elsewhere. Quick to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UsageError
from pipeline.fingerprint import fingerprint, source_fingerprint, versions
from pipeline.ingest.function import FunctionSource
from pipeline.model.route import Route, prefix_routes, routes_with
from pipeline.progress import Progress
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel
from pipeline.training.data.source import data_fingerprint

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.model.pwl import PwlModel
    from pipeline.training.data.images import Dataset, ImageSpec
    from pipeline.training.evaluate import EvaluatedModel
    from pipeline.training.score import Scored


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model in eval mode, and the images that it takes."""

    model: PwlModel
    spec: ImageSpec


def evaluated_model(
    settings: Settings, cache: Path, progress: Progress, others: Sequence[Route] = ()
) -> EvaluatedModel:
    """The model of a profile, evaluated along the routes that ship.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        others: routes to evaluate beside those that ship.

    Raises:
        UsageError: settings, data, source and routes do not fit together.
    """
    if isinstance(settings.model, SourceModel) and settings.training is None:
        return _from_elsewhere(settings, settings.model, cache / "training", progress, others)
    return trained_model(settings, cache, progress, others)


def trained_model(
    settings: Settings, cache: Path, progress: Progress, others: Sequence[Route] = ()
) -> Scored:
    """The model of a profile that trains it here, evaluated like any other.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        others: routes to evaluate beside those that ship.

    Raises:
        UsageError: as `evaluated_model`, or the model comes trained.
    """
    from pipeline.training.score import score
    from pipeline.training.train import Fresh

    if not isinstance(settings.model, SourceModel):
        return score(settings, cache, progress, others)
    source = settings.model

    def make(settings: Settings, dataset: Dataset) -> Fresh:
        model, content = _ingest(settings, source, dataset)
        return Fresh(model, fingerprint(source_content(settings), content))

    return score(settings, cache, progress, others, make)


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


def _from_elsewhere(
    settings: Settings,
    source: SourceModel,
    home: Path,
    progress: Progress,
    others: Sequence[Route],
) -> EvaluatedModel:
    from pipeline.training.data.source import load_dataset
    from pipeline.training.evaluate import EvaluatedModel, evaluate

    dataset = load_dataset(settings.data, settings.seed)
    with progress.task(f"{source.kind} model", total=1) as task:
        model, content = _ingest(settings, source, dataset)
        task.advance(1)
    shipped = prefix_routes(model.blocks)
    routes = routes_with(model.blocks, others)
    if source.kind == "keras" and len(routes) > len(shipped):
        raise UsageError(
            f"route {routes[-1]}: Keras blocks have no decoders, so they serve prefix routes only",
            f"choose among {' '.join(map(str, shipped))}",
        )
    key = fingerprint(
        settings.seed,
        settings.data,
        data_fingerprint(settings.data),
        source.source,
        source_content(settings),
        content,
        source_fingerprint("model", "training", "ingest"),
        versions("torch", "numpy"),
    )
    keep = home / f"evaluation-{key[:16]}.safetensors"
    found = [evaluate(model, dataset, shipped, keep, progress)]
    for route in routes[len(shipped) :]:
        apart = keep.with_stem(f"{keep.stem}-{route}")
        found.append(evaluate(model, dataset, [route], apart, progress))
    return EvaluatedModel(model, dataset, routes, np.concatenate(found))


def _open_source(source: SourceModel) -> OpenModel:
    match source.kind:
        case "keras":
            raise UsageError(
                f"{source.source}: Keras blocks are made for the images of a profile",
                "name the profile (.toml) instead",
            )
        case "python":
            from pipeline.ingest.python import own_model
            from pipeline.training.data.images import ImageSpec

            own = own_model(source, seed=0, training=None)
            channels, height, width = own.image_shape
            return OpenModel(own.model, ImageSpec(channels, (height, width), None))
        case _:
            raise ValueError(source.kind)


def _ingest(settings: Settings, source: SourceModel, dataset: Dataset) -> tuple[PwlModel, str]:
    """The model of a source, in eval mode, checked against the data; and what names its weights."""
    match source.kind:
        case "keras":
            from pipeline.ingest.keras import keras_model

            return keras_model(source, dataset), ""
        case "python":
            from pipeline.ingest.python import own_model

            own = own_model(source, settings.seed, settings.training)
            _require_fit(source, own.image_shape, own.classes, dataset)
            return own.model, own.content
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
