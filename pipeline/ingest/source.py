"""Where a profile's model comes from: trained here, or given by a function of the user's."""

from __future__ import annotations

from pathlib import Path

from pipeline.fingerprint import fingerprint
from pipeline.ingest.function import FunctionSource
from pipeline.model.route import prefix_routes
from pipeline.progress import Progress
from pipeline.settings import Settings, SourceModel
from pipeline.training.data.source import data_fingerprint, load_dataset
from pipeline.training.evaluate import EvaluatedModel, evaluate


def evaluated_model(settings: Settings, cache: Path, progress: Progress) -> EvaluatedModel:
    """The model of a profile, evaluated along the routes that ship.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.

    Raises:
        UsageError: settings, data or the user's function do not fit together.
    """
    if isinstance(settings.model, SourceModel):
        return _from_function(settings, settings.model, cache / "training", progress)
    from pipeline.training.score import score

    return score(settings, cache, progress)


def _from_function(
    settings: Settings, source: SourceModel, home: Path, progress: Progress
) -> EvaluatedModel:
    from pipeline.ingest.keras import keras_model

    dataset = load_dataset(settings.data, settings.seed)
    with progress.task("keras blocks", total=1) as task:
        model = keras_model(source, dataset)
        task.advance(1)
    routes = prefix_routes(model.blocks)
    function = FunctionSource.parse(source.function).fingerprint()
    key = fingerprint(settings.seed, settings.data, data_fingerprint(settings.data), function)
    keep = home / f"evaluation-{key[:16]}.safetensors"
    return EvaluatedModel(model, dataset, routes, evaluate(model, dataset, routes, keep, progress))
