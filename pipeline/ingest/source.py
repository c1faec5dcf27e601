"""Where a profile's model comes from: trained here, or given by a function of the user's."""

from __future__ import annotations

from pathlib import Path

from pipeline.fingerprint import fingerprint, versions
from pipeline.ingest.function import FunctionSource
from pipeline.model.pwl import PwlModel
from pipeline.progress import Progress
from pipeline.settings import Settings, SourceModel
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import data_fingerprint


def model_key(settings: Settings) -> str:
    """Names the model that `obtain_model` returns.

    Raises:
        UsageError: the data or the user's function is missing.
    """
    if isinstance(settings.model, SourceModel):
        function = FunctionSource.parse(settings.model.function).fingerprint()
        data = data_fingerprint(settings.data)
        return fingerprint(settings.seed, settings.data, data, function, versions("torch"))
    from pipeline.training.train import training_key

    return training_key(settings)


def obtain_model(settings: Settings, dataset: Dataset, cache: Path, progress: Progress) -> PwlModel:
    """The model of a profile, in eval mode.

    Args:
        settings: the profile.
        dataset: what its ``[data]`` table names.
        cache: folder for trained weights.
        progress: told losses.

    Raises:
        UsageError: settings, data or the user's function do not fit together.
    """
    if isinstance(settings.model, SourceModel):
        from pipeline.ingest.keras import keras_model

        with progress.task("keras blocks", total=1) as task:
            model = keras_model(settings.model, dataset)
            task.advance(1)
        return model
    from pipeline.training.train import train

    return train(settings, dataset, cache, progress)
