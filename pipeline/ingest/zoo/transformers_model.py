"""An image classifier of Hugging Face's transformers library as the teacher of a profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress
from pipeline.ingest.preprocessor import stated_normalization, stated_resizing
from pipeline.ingest.python import OwnModel
from pipeline.ingest.torchvision_names import import_torchvision
from pipeline.ingest.zoo.classifier import ImageClassifier, require_images, without_logs
from pipeline.ingest.zoo.model_folder import ModelFolder
from pipeline.ingest.zoo.transformers_config import TRANSFORMERS

#: What the library calls classes that nobody named.
_NAMELESS = re.compile(r"LABEL_\d+")
_MOST = 6


def transformers_model(
    place: str, images: Callable[[], tuple[int, ...]] | None, progress: Progress
) -> OwnModel:
    """The teacher that a folder or a name of the hub gives, without a student.

    Args:
        place: what follows ``transformers:``.
        images: asked for channels, height and width of the images that it is for; None: those
            that its configuration names.
        progress: told what is to be known about its weights.

    Raises:
        UsageError: the library is not installed; there is no such model, or no whole one; it
            classifies no images; or it takes none of that shape.
    """
    folder = ModelFolder.find(place, TRANSFORMERS)
    network = _loaded(folder, progress)
    if not isinstance(network, nn.Module):
        raise TypeError(type(network).__name__)
    config: Any = network.config
    shape = images() if images is not None else _image_shape(folder, config)
    classifier = ImageClassifier(network).eval()
    channels = getattr(config, "num_channels", shape[0])
    require_images(place, classifier, shape, channels, getattr(config, "image_size", None))
    return OwnModel(
        classifier,
        None,
        shape,
        normalization=stated_normalization(folder.preprocessor),
        labels=_labels(config.id2label),
    )


def _loaded(folder: ModelFolder, progress: Progress) -> Any:
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
            network, found = transformers.AutoModelForImageClassification.from_pretrained(
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
