"""Pooling of signals ``[n, channels, time]``, as that of images of one row.

These come before all other rules, which then see the poolings of images that they know.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.lowering.graph import OperatorGraph
from pipeline.lowering.rewrite import Call, Rules, rewritten

aten = torch.ops.aten


def in_images(graph: OperatorGraph, rules: Rules, example: Tensor) -> OperatorGraph:
    """An equal graph in which some rules of this module have been applied; itself if none has to.

    Args:
        graph: as captured.
        rules: by operators of signals.
        example: one input ``[1, ...]``.
    """
    if any(node.target in rules for node, _ in graph.calls()):
        return rewritten(graph, rules, example)
    return graph


def signal_average(call: Call) -> Tensor | None:
    _, kernel, stride, padding, ceiling, padded = call.arguments
    sizes = _row(kernel), _row(stride or kernel), _row(padding, 0)
    return _of_row(call, lambda row: aten.avg_pool2d.default(row, *sizes, ceiling, padded, None))


def signal_max(call: Call) -> Tensor | None:
    _, kernel, stride, padding, dilation, ceiling = call.arguments
    sizes = _row(kernel), _row(stride or kernel), _row(padding, 0), _row(dilation)
    return _of_row(call, lambda row: aten.max_pool2d.default(row, *sizes, ceiling))


def padded_signal_max(call: Call) -> Tensor | None:
    """Where LiteRT's converter does not do it by itself."""
    padding, ceiling = (call.arguments[place] for place in (3, 5))
    return signal_max(call) if any(_row(padding, 0)) or ceiling else None


def adaptive_signal_average(call: Call) -> Tensor | None:
    sizes = _row(call.arguments[1])
    return _of_row(call, lambda row: aten.adaptive_avg_pool2d.default(row, sizes))


def adaptive_signal_max(call: Call) -> tuple[Tensor, ...] | None:
    """Where nobody reads the positions."""
    if any(user.target is not operator.getitem or user.args[1] != 0 for user in call.node.users):
        return None
    if len(call.shape) != 3 or not call.node.users:
        return None
    sizes = _row(call.arguments[1])
    first = next(iter(call.node.users)).meta["tensor_meta"].shape
    row = call.arguments[0].reshape(_as_row(call.shape))
    return (aten.adaptive_max_pool2d.default(row, sizes)[0].reshape([*first]),)


def _of_row(call: Call, pool: Callable[[Tensor], Tensor]) -> Tensor | None:
    if len(call.shape) != 3:
        return None
    row: Tensor = call.arguments[0].reshape(_as_row(call.shape))
    return pool(row).reshape([*call.target_shape])


def _as_row(shape: tuple[int, ...]) -> list[int]:
    return [shape[0], shape[1], 1, shape[2]]


def _row(value: Any, across: int = 1) -> list[int]:
    """A size along time as one of height and width."""
    return [across, *([value] if isinstance(value, int) else value)]
