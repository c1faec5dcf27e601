"""A teacher and a student of the user's own: modules of PyTorch, trained or to be trained here.

    [model]
    source = "python:my_model.py:model"

    # my_model.py
    from pipeline.ingest.python import OwnModel
    def model(): return OwnModel(teacher, student, image_shape=(3, 32, 32))

The function takes nothing and is called with random numbers that the profile seeds; twice, to see
that it gives the same model, and in every command that needs the model. It may as well return a
network alone: the teacher, for images of the profile's shape, of which the profile's
``[model.student]`` makes a student.
This module is all that a user's file needs; `pipeline.ingest.intake` takes in what it gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from pipeline.data.normalization import Normalization

__all__ = ["Network", "Normalization", "OwnModel"]


class Network(Protocol):
    """What a network has to offer: three attributes, run one after the other.

    Attributes:
        embedder: images ``[n, channels, height, width]`` to the first block's input, or Identity.
        blocks: N modules; each takes one tensor, the output of the one before, and returns one.
        classifier: the last block's output to logits ``[n, classes]``.
    """

    @property
    def embedder(self) -> nn.Module: ...

    @property
    def blocks(self) -> Iterable[nn.Module]: ...

    @property
    def classifier(self) -> nn.Module: ...


@dataclass(frozen=True, slots=True)
class OwnModel:
    """What the user's function returns.

    Attributes:
        teacher, student: networks with the same number of blocks, N; the student may be None where
            the profile has a table ``[model.student]``, by which it is made of the teacher.
        image_shape: channels, height, width of one image; of another tensor, such as a sound
            ``(channels, time)``, its shape without the batch axis.
        encoders: N - 1 modules from a teacher block's output to the next student block's input.
            Where one is None, shapes agree or a 1x1 convolution is made, which has to be trained.
        decoders: the same from student to teacher. Prefix routes need none.
        normalization: what networks that come trained were trained with. None: that of ``[data]``,
            or mean and deviation of the training images.
        split: for networks without those three attributes: the paths of the submodules that blocks
            begin with, in the order in which they run, such as ``["layer1", "layer2"]`` or
            ``["features[0:3]", "features[3:6]"]``. What runs before them is the embedder; the last
            block ends with its submodule, and what runs then is the classifier. ``"auto:4"`` cuts
            into four blocks of about as many parameters each, ``"auto:4:load_time"`` into four that
            take about as long to load, where a profile says on which backends.
        labels: names of the classes in the order of the logits: data with the same names in another
            order is refused.
        vocabulary: of networks that read tokens, such as those of a text: how many different ones
            there are. `image_shape` is the shape of one text then, such as ``(128,)``, and the
            networks are given int64 ``[n, 128]``.
    """

    teacher: Network | nn.Module
    student: Network | nn.Module | None
    image_shape: tuple[int, ...]
    encoders: Sequence[nn.Module | None] | None = None
    decoders: Sequence[nn.Module | None] | None = None
    normalization: Normalization | None = None
    split: Sequence[str] | str | None = None
    labels: Sequence[str] | None = None
    vocabulary: int | None = None
