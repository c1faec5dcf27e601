"""Teacher and student blocks from Keras: trained models of the user's own, for the LiteRT backend.

    [model]
    source = "keras:my_blocks.py:blocks"

    # my_blocks.py
    from pipeline.ingest.keras import KerasBlocks
    def blocks(images, labels): ... return KerasBlocks(teacher, student, encoders)

The function is given the training images, float32 ``[n, height, width, channels]``, normalized as
the bundle will say, and their labels, int64 ``[n]``; it may train on them or load what it has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.data.images import Dataset
from pipeline.ingest.function import FunctionSource
from pipeline.model.blocknet import BlockNet
from pipeline.model.converter import MissingConverter
from pipeline.model.keras_unit import KerasUnit
from pipeline.model.pwl import PwlModel
from pipeline.settings import SourceModel


@dataclass(frozen=True, slots=True)
class KerasBlocks:
    """Trained Keras models, each with one input and one output.

    Attributes:
        teacher, student: N models each; the first takes images, the last gives logits.
        encoders: N - 1 models from a teacher block's output to the next student block's input, or
            None where the shapes agree.
    """

    teacher: Sequence[Any]
    student: Sequence[Any]
    encoders: Sequence[Any | None]


def keras_model(settings: SourceModel, dataset: Dataset) -> PwlModel:
    """The model that a profile's function gives, in eval mode. It serves prefix routes only.

    Raises:
        UsageError: there is no such function, or its blocks do not fit together; names the block
            and the shapes.
    """
    # TensorFlow's native code prints a page of hints otherwise, in every worker process.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    function = FunctionSource.parse(settings.place).load()
    inputs = dataset.normalization.apply(dataset.train.images).permute(0, 2, 3, 1)
    given = function(inputs.contiguous().numpy(), dataset.train.labels)
    if not isinstance(given, KerasBlocks):
        raise UsageError(
            f"{settings.source} gave {type(given).__name__}",
            "return pipeline.ingest.keras.KerasBlocks",
        )
    for part in (*given.teacher, *given.student, *(e for e in given.encoders if e is not None)):
        if not isinstance(part, keras.Model):
            raise UsageError(
                f"{settings.source}: a block is {type(part).__name__}", "make each a keras.Model"
            )
    channels, height, width = dataset.image_shape
    _check(settings.source, given, (height, width, channels), len(dataset.names))
    encoders = [nn.Identity() if e is None else KerasUnit(e) for e in given.encoders]
    decoders = [MissingConverter(settings.source, index) for index in range(len(given.encoders))]
    return PwlModel(_net(given.teacher), _net(given.student), encoders, decoders).eval()


def keras_content(model: PwlModel) -> str:
    """Names architecture and weights of the Keras models, wherever the function has them from."""
    return fingerprint([unit.content() for unit in model.modules() if isinstance(unit, KerasUnit)])


def _net(blocks: Sequence[Any]) -> BlockNet:
    units = [KerasUnit(block) for block in blocks]
    return BlockNet(nn.Identity(), units, nn.Identity())


def _check(source: str, given: KerasBlocks, image: tuple[int, ...], classes: int) -> None:
    teacher, student, encoders = given.teacher, given.student, given.encoders
    if not len(teacher) == len(student) == len(encoders) + 1:
        raise UsageError(
            f"{source}: {len(teacher)} teacher blocks, {len(student)} student blocks and "
            f"{len(encoders)} encoders",
            "give N teacher blocks, N student blocks and N - 1 encoders",
        )
    for name, blocks in (("teacher", teacher), ("student", student)):
        expected = image
        for index, block in enumerate(blocks):
            _fits(source, f"{name} block {index}", block, expected)
            expected = tuple(block.output_shape[1:])
        if expected != (classes,):
            raise UsageError(
                f"{source}: the {name} gives {expected}, there are {classes} labels",
                "end in one logit per label",
            )
    for index, encoder in enumerate(encoders):
        features = tuple(teacher[index].output_shape[1:])
        if encoder is not None:
            _fits(source, f"encoder {index}", encoder, features)
            features = tuple(encoder.output_shape[1:])
        _fits(
            source,
            f"student block {index + 1} behind encoder {index}",
            student[index + 1],
            features,
        )


def _fits(source: str, name: str, block: Any, features: tuple[int, ...]) -> None:
    wanted = tuple(block.input_shape[1:])
    if wanted != features:
        raise UsageError(
            f"{source}: {name} takes {wanted} but is given {features}",
            "make neighboring blocks and encoders agree on height, width and channels",
        )
