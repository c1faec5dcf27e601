"""Augmentation: every training image rotated, moved and mirrored at random, a batch at a time.

What comes into an image from outside is black, the pixel value zero, as inputs are normalized; a
crop may reflect the image's own edge instead. A label map goes with its image: to the nearest pixel
where that is rotated, and without a label where black comes in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.data.tensors import InputRule
from pipeline.settings import IGNORED, AugmentationSettings


@dataclass(frozen=True, slots=True)
class Changes:
    """What happens to each image of a batch; None where nothing of the kind does.

    Attributes:
        angles: radians, counterclockwise as images are shown, float32 ``[n]``.
        moves: row and column in the padded image where the crop begins, int64 ``[n, 2]``.
        mirrored: left and right change places, bool ``[n]``.
    """

    angles: Tensor | None = None
    moves: Tensor | None = None
    mirrored: Tensor | None = None

    def of(self, part: slice) -> Changes:
        """What happens to some of the images."""
        angles, moves, mirrored = (
            None if drawn is None else drawn[part]
            for drawn in (self.angles, self.moves, self.mirrored)
        )
        return Changes(angles, moves, mirrored)


class Augmentation:
    """Random changes of normalized images that leave their labels true.

    Args:
        settings: the ``[training.augmentation]`` table.
        black: what a black pixel is after normalization, one number a channel.
    """

    def __init__(self, settings: AugmentationSettings, black: Tensor) -> None:
        self._settings = settings
        self._black = black.view(1, -1, 1, 1)

    @classmethod
    def of(cls, settings: AugmentationSettings, normalization: InputRule) -> Augmentation:
        """The augmentation of images that were normalized so."""
        pixel = np.zeros((1, 1, 1, len(normalization.mean)), np.uint8)
        return cls(settings, normalization.apply(pixel).flatten())

    def draw(self, images: int, generator: torch.Generator) -> Changes:
        """Changes for `images` images; how much the generator gives depends on nothing else."""
        settings = self._settings
        angles = moves = mirrored = None
        if settings.rotation:
            turns = 2 * torch.rand(images, generator=generator) - 1
            angles = math.radians(settings.rotation) * turns
        if settings.crop:
            moves = torch.randint(0, 2 * settings.crop + 1, (images, 2), generator=generator)
        if settings.flip:
            mirrored = torch.rand(images, generator=generator) < 0.5
        return Changes(angles, moves, mirrored)

    def apply(self, images: Tensor, changes: Changes) -> Tensor:
        """New images ``[n, channels, height, width]``, channels last in memory as before.

        Rotation about the center is bilinear; moving and mirroring only carry pixels elsewhere.
        """
        return self._changed(images, changes, self._black, "bilinear")

    def apply_to_maps(self, maps: Tensor, changes: Changes) -> Tensor:
        """Label maps, uint8 ``[n, height, width]``, changed as their images of that size are."""
        outside = torch.full((1, 1, 1, 1), float(IGNORED))
        moved = self._changed(maps.unsqueeze(1).float(), changes, outside, "nearest")
        return moved.squeeze(1).to(maps.dtype)

    def _changed(self, images: Tensor, changes: Changes, black: Tensor, mode: str) -> Tensor:
        black = black.to(images.device)
        if changes.angles is not None:
            images = _rotated(images - black, changes.angles.to(images.device), mode) + black
        if changes.moves is not None:
            moves, size = changes.moves.to(images.device), images.shape[2:]
            images = _moved(self._framed(images, black), moves, *size)
        if changes.mirrored is not None:
            choice = changes.mirrored.to(images.device).view(-1, 1, 1, 1)
            images = torch.where(choice, images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last)

    def _framed(self, images: Tensor, black: Tensor) -> Tensor:
        """Images with what a crop may bring in around them, on each side."""
        frame = self._settings.crop
        if self._settings.border == "reflect":
            return F.pad(images, (frame,) * 4, mode="reflect")
        count, _, height, width = images.shape
        framed = black.repeat(count, 1, height + 2 * frame, width + 2 * frame)
        framed[:, :, frame:-frame, frame:-frame] = images
        return framed


def _rotated(images: Tensor, angles: Tensor, mode: str) -> Tensor:
    height, width = images.shape[2:]
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # The grid runs from -1 to 1 on both axes, whatever their lengths are.
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), False)
    return F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _moved(framed: Tensor, moves: Tensor, height: int, width: int) -> Tensor:
    """The part of each framed image that begins at its move, height x width."""
    count, channels = framed.shape[:2]
    rows = moves[:, 0, None] + torch.arange(height, device=framed.device)
    columns = moves[:, 1, None] + torch.arange(width, device=framed.device)
    which = torch.arange(count, device=framed.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=framed.device).view(1, -1, 1, 1)
    return framed[which, channel, rows.view(count, 1, -1, 1), columns.view(count, 1, 1, -1)]
