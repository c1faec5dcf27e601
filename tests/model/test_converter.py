"""Converters stand between features of any rank whose channels alone differ."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.model.converter import make_converter


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ((12,), (5,), nn.Linear),
        ((6, 12), (6, 5), nn.Linear),
        ((12, 7), (5, 7), nn.Conv1d),
        ((12, 7, 9), (5, 7, 9), nn.Conv2d),
        ((12, 7), (12, 7), nn.Identity),
    ],
)
def test_a_converter_maps_channels_and_nothing_else(
    source: tuple[int, ...], target: tuple[int, ...], kind: type[nn.Module]
) -> None:
    made = make_converter(source, target, 0)
    assert type(made) is kind
    features = torch.randn(2, *source)
    outputs = made(features)
    assert tuple(outputs.shape) == (2, *target)
    if isinstance(made, nn.Conv1d):  # each place by itself
        changed = features.clone()
        changed[..., 3] += 1
        assert (made(changed) != outputs).any(dim=1).sum(0).tolist() == [0, 0, 0, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("source", "target"), [((12, 7), (5, 6)), ((12,), (5, 1)), ((2, 3, 4, 5), (1, 3, 4, 5))]
)
def test_features_that_differ_in_more_are_refused(
    source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match="differ in more than the channels"):
        make_converter(source, target, 0)
