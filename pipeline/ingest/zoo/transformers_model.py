"""A network of Hugging Face's transformers library as the teacher of a profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress
from pipeline.ingest.preprocessor import stated_normalization, stated_resizing
from pipeline.ingest.python import OwnModel
from pipeline.ingest.torchvision_names import import_torchvision
from pipeline.ingest.zoo.library_network import (
    NOT_POOLED,
    POOL_IT,
    LibraryNetwork,
    require_images,
    without_logs,
)
from pipeline.ingest.zoo.model_folder import ModelFolder
from pipeline.ingest.zoo.transformers_config import TRANSFORMERS, task_of
from pipeline.settings import TaskKind

#: What the library calls classes that nobody named.
_NAMELESS = re.compile(r"LABEL_\d+")
_MOST = 6
_CLASSES: Final[dict[TaskKind, str]] = {
    "classification": "AutoModelForImageClassification",
    "dense": "AutoModelForSemanticSegmentation",
    "embedding": "AutoModel",
}


def transformers_model(
    place: str,
    images: Callable[[], tuple[int, ...]] | None,
    progress: Progress,
    task: TaskKind | None = "classification",
) -> OwnModel:
    """The teacher that a folder or a name of the hub gives, without a student.

    Args:
        place: what follows ``transformers:``.
        images: asked for channels, height and width of the images that it is for; None: those
            that its configuration names.
        progress: told what is to be known about its weights.
        task: what it is to answer; None: what the class that was saved answers.

    Raises:
        UsageError: the library is not installed; there is no such model, or no whole one; it
            has no answer to the task; or it takes no images of that shape.
    """
    folder = ModelFolder.find(place, TRANSFORMERS, task)
    task = task or task_of(folder.config)
    network = _loaded(folder, progress, task)
    if not isinstance(network, nn.Module):
        raise TypeError(type(network).__name__)
    config: Any = network.config
    shape = images() if images is not None else _image_shape(folder, config)
    teacher = LibraryNetwork(network, task, shape).eval()
    channels = getattr(config, "num_channels", shape[0])
    require_images(place, teacher, shape, channels, getattr(config, "image_size", None))
    return OwnModel(
        teacher,
        None,
        shape,
        normalization=stated_normalization(folder.preprocessor),
        labels=None if task == "embedding" else _labels(config.id2label),
    )


def _loaded(folder: ModelFolder, progress: Progress, task: TaskKind) -> Any:
    with without_logs():
        try:
            import transformers
        except ImportError:
            raise TRANSFORMERS.missing(folder.place) from None
    folder.tell_weights(progress)
    with without_logs():
        import_torchvision()
    try:
        with without_logs(), _without_bars(transformers):
            network, found = getattr(transformers, _CLASSES[task]).from_pretrained(
                folder.path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=not folder.pickled,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:
        raise folder.unreadable(error) from error
    _account(folder, found, progress)
    config = network.config
    # Its outputs are one table, with nothing in it that is not asked for.
    config.return_dict, config.output_hidden_states, config.output_attentions = True, False, False
    for module in network.modules():  # where it lay says nothing of what it computes
        holders: tuple[Any, ...] = (module, getattr(module, "config", None))
        for holder in holders:
            if hasattr(holder, "name_or_path"):
                holder.name_or_path = ""
    config._commit_hash = None
    return network


def _account(folder: ModelFolder, found: Mapping[str, Any], progress: Progress) -> None:
    """Makes sure that every tensor of the model was in the files."""
    wrong = [*found["missing_keys"], *(str(key) for key in found["mismatched_keys"])]
    if wrong:
        if all(name.startswith("pooler.") for name in wrong):
            raise UsageError(f"{folder.path} {NOT_POOLED}: no {_listed(wrong)}", POOL_IT)
        raise folder.incomplete(f"{_listed(wrong)} are not there, or of other shapes")
    if left := [*found["unexpected_keys"]]:
        progress.say(f"{folder.place}: weights that the model does not use: {_listed(left)}")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(sorted(names)[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _image_shape(folder: ModelFolder, config: Any) -> tuple[int, int, int]:
    """Channels, height and width that a model's configuration names."""
    match getattr(config, "image_size", None):
        case int(side):
            height = width = side
        case [int(height), int(width)]:
            pass
        case _ if resizing := stated_resizing(folder.preprocessor):
            height = width = resizing.image_size
        case _:
            raise UsageError(
                f"{folder.place}: its config.json does not say the size of its images",
                "name the profile (.toml); to inspect it, give --image-shape 3,224,224 "
                "(channels, height, width)",
            )
    return int(getattr(config, "num_channels", 3)), height, width


def _labels(names: Mapping[int, str] | None) -> tuple[str, ...] | None:
    """The names of the classes in the order of the logits, where somebody gave them names."""
    listed = tuple(str((names or {}).get(index, "")) for index in range(len(names or {})))
    if not listed or not all(listed) or any(_NAMELESS.fullmatch(name) for name in listed):
        return None
    return listed


@contextmanager
def _without_bars(transformers: Any) -> Iterator[None]:
    """Keeps the library from drawing bars beside ours."""
    bars = transformers.utils.logging
    drawn = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            bars.enable_progress_bar()
