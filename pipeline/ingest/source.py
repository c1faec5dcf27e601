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
from pipeline.ingest.reference.checkpoint import ReferenceCheckpoint
from pipeline.model.route import Route, prefix_routes, routes_with
from pipeline.progress import Progress
from pipeline.settings import SOURCE_KINDS, Settings, SourceModel
from pipeline.training.data.source import data_fingerprint

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.model.pwl import PwlModel
    from pipeline.training.data.images import Dataset, ImageSpec
    from pipeline.training.evaluate import EvaluatedModel


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
    if isinstance(settings.model, SourceModel):
        return _from_elsewhere(settings, settings.model, cache / "training", progress, others)
    from pipeline.training.score import score

    return score(settings, cache, progress, others)


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
    return OpenModel(trained.model, trained.description.spec)


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
        model = _ingest(source, dataset, progress)
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
        source_fingerprint("model", "training", "ingest"),
        versions("torch", "numpy"),
    )
    keep = home / f"evaluation-{key[:16]}.safetensors"
    found = [evaluate(model, dataset, shipped, keep, progress)]
    for route in routes[len(shipped) :]:
        apart = keep.with_stem(f"{keep.stem}-{route}")
        found.append(evaluate(model, dataset, [route], apart, progress))
    return EvaluatedModel(model, dataset, routes, np.concatenate(found))


def _open_source(source: SourceModel, progress: Progress) -> OpenModel:
    match source.kind:
        case "keras":
            raise UsageError(
                f"{source.source}: Keras blocks are made for the images of a profile",
                "name the profile (.toml) instead",
            )
        case "reference":
            from pipeline.ingest.reference.model import read_reference

            found = read_reference(source.place, progress)
            return OpenModel(found.model, found.spec)
        case _:
            raise ValueError(source.kind)


def _ingest(source: SourceModel, dataset: Dataset, progress: Progress) -> PwlModel:
    """The model of a source, in eval mode, checked against the data."""
    match source.kind:
        case "keras":
            from pipeline.ingest.keras import keras_model

            return keras_model(source, dataset)
        case "reference":
            from pipeline.ingest.reference.model import reference_model

            return reference_model(source.place, dataset, progress)
        case _:
            raise ValueError(source.kind)
