"""Operators of common networks, spelt as ExecuTorch's XNNPACK partitioner knows them.

It takes the mean over height and width only with both axes kept, and no hard sigmoid: a squeeze and
excitation as it is usually written would cut a unit into several delegates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


def spatial_mean(features: Tensor) -> Tensor:
    """Features ``[n, channels, height, width]`` to their means ``[n, channels, 1, 1]``."""
    return features.mean((-1, -2), keepdim=True)


def flat_spatial_mean(features: Tensor) -> Tensor:
    """Features ``[n, channels, height, width]`` to their means ``[n, channels]``."""
    return spatial_mean(features).flatten(1)


def hard_sigmoid(features: Tensor) -> Tensor:
    """Each value moved up by 3, bounded by 0 and 6, and divided by 6."""
    return F.relu6(features + 3.0) * (1 / 6)


def respelt(module: nn.Module) -> nn.Module:
    """An equal module in which means and hard sigmoids are those of this module.

    Args:
        module: traced, for inference on images; any other module is returned as it is.
    """
    if not isinstance(module, fx.GraphModule):
        return module
    parts = dict(module.named_modules())
    graph = fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    changed = False
    for node in list(graph.nodes):
        if spelling := _spelling(node, parts):
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.call_function(spelling, (node.args[0],)))
            graph.erase_node(node)
            changed = True
    return fx.GraphModule(module, graph).eval() if changed else module


def _spelling(node: fx.Node, parts: Mapping[str, nn.Module]) -> Callable[[Tensor], Tensor] | None:
    """What takes the place of a call; None where it stays."""
    match node.op, parts.get(str(node.target)) if node.op == "call_module" else node.target:
        case "call_module", nn.AdaptiveAvgPool2d() as pool:
            return spatial_mean if pool.output_size in (1, (1, 1), [1, 1]) else None
        case "call_module", nn.Hardsigmoid():
            return hard_sigmoid
        case "call_function", F.hardsigmoid:
            return hard_sigmoid
        case "call_function", F.adaptive_avg_pool2d:
            size = _argument(node, 1, "output_size")
            return spatial_mean if size in (1, (1, 1), [1, 1]) else None
        case ("call_method", "mean") | ("call_function", torch.mean):
            axes = _argument(node, 1, "dim")
            if node.kwargs.get("dtype") or not isinstance(axes, list | tuple):
                return None
            # 2 and 3 are height and width only where there are four axes: -1 may be another axis.
            if sorted(map(str, axes)) == ["2", "3"]:
                return spatial_mean if _argument(node, 2, "keepdim") else flat_spatial_mean
    return None


def _argument(node: fx.Node, position: int, name: str) -> object:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)
