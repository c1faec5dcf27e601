"""From a profile's ``[model]`` table to a model."""

from __future__ import annotations

from pipeline.core.errors import UsageError
from pipeline.core.random_state import own_random_numbers
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.resnet import resnet
from pipeline.model.vgg import vgg
from pipeline.model.vit import vit
from pipeline.settings import FamilyModel, ResNetSettings, VggSettings, VitSettings


def build_model(
    settings: FamilyModel, image_shape: tuple[int, ...], classes: int, seed: int
) -> PwlModel:
    """A freshly initialized model.

    Args:
        settings: the ``[model]`` table of a profile.
        image_shape: channels, height, width of one image.
        classes: number of labels.
        seed: the same seed gives the same weights.

    Raises:
        UsageError: teacher and student do not fit together, or not to images of that size.
    """
    if len(image_shape) != 3:
        raise UsageError(
            f"family {settings.family!r} takes images, and one input of the data is "
            f"{list(image_shape)}",
            'write the networks yourself: [model] source = "python:FILE.py:FUNCTION"',
        )
    shape = (image_shape[0], image_shape[1], image_shape[2])
    with own_random_numbers(seed):
        teacher = _network(settings.teacher, shape, classes)
        student = _network(settings.student, shape, classes)
        return PwlModel.pair(teacher, student, shape)


def _network(
    settings: ResNetSettings | VggSettings | VitSettings,
    image_shape: tuple[int, int, int],
    classes: int,
) -> BlockNet:
    match settings:
        case ResNetSettings():
            return resnet(settings, image_shape[0], classes)
        case VggSettings():
            return vgg(settings, image_shape, classes)
        case VitSettings():
            return vit(settings, image_shape, classes)
