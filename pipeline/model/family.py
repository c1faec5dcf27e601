"""From a profile's ``[model]`` table to a model."""

from __future__ import annotations

import torch

from pipeline.model.pwl import PwlModel
from pipeline.model.resnet import resnet
from pipeline.settings import ResNetModel


def build_model(
    settings: ResNetModel, image_shape: tuple[int, int, int], classes: int, seed: int
) -> PwlModel:
    """A freshly initialised model.

    Args:
        settings: the ``[model]`` table of a profile.
        image_shape: channels, height, width of one image.
        classes: number of labels.
        seed: the same seed gives the same weights.

    Raises:
        UsageError: teacher and student do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = resnet(settings.teacher, image_shape[0], classes)
        student = resnet(settings.student, image_shape[0], classes)
        return PwlModel.pair(teacher, student, image_shape)
