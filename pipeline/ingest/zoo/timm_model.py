"""A network of the timm library as the teacher of a profile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pipeline.core.progress import Progress
from pipeline.ingest.python import OwnModel
from pipeline.ingest.zoo.library_network import require_images, without_logs
from pipeline.ingest.zoo.model_folder import ModelFolder
from pipeline.ingest.zoo.timm_config import TIMM, TimmConfig, timm_normalization
from pipeline.ingest.zoo.timm_registry import timm_library
from pipeline.settings import TaskKind

#: What the library logs, and nothing else, where tensors of a model were not in its file.
_LEFT_RANDOM = ("Missing keys", "Unable to convert")
_NOT_USED = "Unexpected keys"


def timm_model(
    place: str,
    images: Callable[[], tuple[int, ...]] | None,
    progress: Progress,
    task: TaskKind | None = "classification",
) -> OwnModel:
    """The teacher that a folder, a name of the library or one of the hub gives, without a student.

    Args:
        place: what follows ``timm:``.
        images: asked for channels, height and width of the images that it is for; None: those
            that its configuration names.
        progress: told what is to be known about its weights.
        task: what it is to answer: logits, or, without its classifier, an embedding; None: what
            its configuration says.

    Raises:
        UsageError: the library is not installed; there is no such model, or no whole one; or it
            takes no images of that shape.
    """
    folder = ModelFolder.find(place, TIMM, task)
    config = TimmConfig.read(folder.config)
    headless = task == "embedding"
    network = _loaded(folder, progress, {"num_classes": 0} if headless else {})
    channels, *size = config.pretrained_cfg.input_size
    shape = images() if images is not None else (channels, *size)
    require_images(place, network.eval(), shape, channels, size[0])
    normalization = timm_normalization(folder.config, config.pretrained_cfg)
    labels = None if headless else config.labels
    return OwnModel(network, None, shape, normalization=normalization, labels=labels)


def _loaded(folder: ModelFolder, progress: Progress, sizes: Mapping[str, int]) -> nn.Module:
    with without_logs():
        timm = timm_library(folder.place)
    folder.tell_weights(progress)
    notes = _Notes()
    log = logging.getLogger("timm.models._builder")
    level = log.level
    log.setLevel(logging.INFO)  # who asked before has it remembered that nothing is told
    log.addHandler(notes)
    try:
        network: Any = timm.create_model(f"local-dir:{folder.path}", pretrained=True, **sizes)
    except Exception as error:
        raise folder.unreadable(error) from error
    finally:
        log.removeHandler(notes)
        log.setLevel(level)
    if wrong := [line for line in notes.lines if line.startswith(_LEFT_RANDOM)]:
        raise folder.incomplete(_before(wrong[0]))
    for line in notes.lines:
        if line.startswith(_NOT_USED):
            progress.say(f"{folder.place}: {_before(line)} that the model does not use")
    # Where it lay says nothing of what it computes.
    network.pretrained_cfg = network.default_cfg = {}
    made: nn.Module = network
    return made


def _before(line: str) -> str:
    """What a line names, without the library's opinion of it."""
    return line.partition(" discovered")[0].partition(" found")[0]


class _Notes(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
