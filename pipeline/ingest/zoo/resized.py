"""How the images of a library's model are resized. Quick to import."""

from __future__ import annotations

from pipeline.ingest.zoo.model_folder import ModelFolder
from pipeline.settings import Resizing, SourceModel, TaskKind


def resized_by(source: SourceModel, task: TaskKind) -> Resizing | None:
    """How a library's model has images resized, if its files say.

    Args:
        source: the ``[model]`` table, of one of `LIBRARY_KINDS`.
        task: what it is to answer.

    Raises:
        UsageError: there is no such model, or it says something that no app can repeat.
    """
    if source.kind == "timm":
        from pipeline.ingest.zoo.timm_config import TIMM, timm_resizing

        return timm_resizing(ModelFolder.find(source.place, TIMM, task).config)
    from pipeline.ingest.preprocessor import stated_resizing
    from pipeline.ingest.zoo.transformers_config import TRANSFORMERS

    return stated_resizing(ModelFolder.find(source.place, TRANSFORMERS, task).preprocessor)
