"""A teacher's head replaced: one logit for each label of the data, with weights to be trained."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.own_parts import has_parts, image_shape_of, network_of
from pipeline.ingest.probe import probe_images, user_code
from pipeline.ingest.python import OwnModel
from pipeline.model.head import head_of, renew_head

_WHAT = 'head = "replace" in [model.teacher] needs'
_REMEDY = "replace it in a function that gives the network, source = python:FILE.py:FUNCTION"


def with_new_head(source: str, given: OwnModel, classes: int) -> OwnModel:
    """A model whose teacher gives a logit for each of some classes, the weights of that random.

    Its layer is changed in place, wherever the network holds it.

    Args:
        source: how errors call what gave the model.
        given: as it did.
        classes: how many.

    Raises:
        UsageError: the teacher ends in no linear layer, or not all of it goes on with the new one.
    """
    images = probe_images(image_shape_of(source, given.image_shape))
    network = given.teacher
    if has_parts(network) or not isinstance(network, nn.Module):
        network = network_of(source, "teacher", network, (), given.image_shape)
    with user_code(source, "the teacher"):
        head = head_of(network.eval(), images)
    if not head:
        raise UsageError(
            f"{source}: {_WHAT} a linear layer that gives the logits, and the teacher "
            f"({type(given.teacher).__name__}) ends in none",
            _REMEDY,
        )
    for layer in head.values():
        renew_head(layer, classes)
    _require_logits(source, network, images, classes, ", ".join(head))
    return replace(given, labels=None)


def _require_logits(
    source: str, network: nn.Module, images: Tensor, classes: int, path: str
) -> None:
    try:
        with user_code(source, "the teacher"):
            logits = network(images.clone())
    except UsageError as error:
        raise UsageError(
            f"{source}: {_WHAT} a teacher that runs with {classes} logits of {path}: {error.what}",
            _REMEDY,
        ) from error
    if logits.shape != (len(images), classes):
        raise UsageError(
            f"{source}: {_WHAT} a teacher that gives what {path} gives, and with {classes} logits "
            f"there it gives {[*logits.shape]} for {len(images)} images",
            _REMEDY,
        )
