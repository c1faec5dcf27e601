"""A unit as the graph of ATen operators that it runs, each with its place in the user's network.

What a user's code computes is read off the operators, never off the classes of its modules: a
subclass with a forward of its own, a hook and a parametrization all leave their operators here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operator comes from.

    Attributes:
        path: of the module in the user's network, such as ``teacher.blocks.2.norm``.
        operator: as the user's code calls it, such as ``layer_norm``.
    """

    path: str
    operator: str


class OperatorGraph(nn.Module):
    """A module for inference on one item, made of operators and constants alone.

    Every call runs inside a step of its own. Exporters write down which module an operator was
    called in, so that what they refuse leads back to the origin of a step: see `origin_of`.

    Args:
        body: its constants are contiguous buffers, its calls functions.
        origins: of the calls, in their order.
    """

    def __init__(self, body: fx.GraphModule, origins: Sequence[Origin]) -> None:
        super().__init__()
        self.body = body
        self.origins = tuple(origins)
        self.steps = nn.ModuleDict({f"at{index}": Step() for index in range(len(self.origins))})
        self.eval()

    @property
    def code(self) -> str:
        """What it computes, but for the values of its constants."""
        return str(self.body.code)

    @property
    def structure(self) -> list[str]:
        """All that decides whether it can be lowered: its code, and what kind its constants are."""
        constants = self.body.named_buffers()
        return [self.code, *(f"{name} {c.dtype} {list(c.shape)}" for name, c in constants)]

    def calls(self) -> Iterator[tuple[fx.Node, Origin]]:
        """The calls with their origins."""
        nodes = [node for node in self.body.graph.nodes if is_call(node)]
        return zip(nodes, self.origins, strict=True)

    def forward(self, features: Tensor) -> Tensor:
        """What the module makes of one item ``[1, ...]``."""
        outputs: Tensor = _Replay(self).run(features)
        return outputs

    def origin_of(self, text: str) -> Origin | None:
        """The origin of an operator that an exporter calls by a name with its step in it."""
        # A fused name begins with its own step; those of its constants follow.
        if found := _STEP.search(text):
            return self.origins[int(found[1])]
        return self.origins[-1] if self.origins and _OUTPUT in text else None


class Step(nn.Module):
    """One call of an operator."""

    def forward(self, target: Any, args: Any, kwargs: Any) -> Any:
        return target(*args, **kwargs)


#: As torch.export (``steps.at3``) and the names of tensors in .tflite files (``Step_at3``) have it.
_STEP = re.compile(r"(?:steps\.|Step_)at(\d+)")
#: What the last operator of a .tflite file gives is named for the signature.
_OUTPUT = "serving_default_output"


class _Replay(fx.Interpreter):
    """Runs a graph, every call in its step."""

    def __init__(self, graph: OperatorGraph) -> None:
        super().__init__(graph.body, garbage_collect_values=False)
        self._steps = iter(graph.steps.values())

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return next(self._steps)(target, args, kwargs)


def operators_of(module: nn.Module) -> OperatorGraph:
    """A captured module as the graph that it is."""
    if not isinstance(module, OperatorGraph):
        raise TypeError(f"{type(module).__name__} was not captured")
    return module


def is_call(node: fx.Node) -> bool:
    return node.op == "call_function"


def is_constant(node: object) -> bool:
    return isinstance(node, fx.Node) and node.op == "get_attr"


def constant_of(body: fx.GraphModule, node: fx.Node) -> Tensor:
    """The value of a constant."""
    value: Tensor = body.get_buffer(str(node.target))
    return value


def add_constant(body: fx.GraphModule, value: Tensor) -> fx.Node:
    """A new constant, at the graph's current place; contiguous, as every exporter expects it."""
    name = f"c{sum(1 for _ in body.buffers())}"
    value = value.detach()
    # Strides of 0 (an expanded tensor) count as contiguous where an axis has one element.
    body.register_buffer(name, value.clone(memory_format=torch.contiguous_format))
    return body.graph.get_attr(name)


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The sizes of what a node gives; of the first tensor of several."""
    found = node.meta["tensor_meta"]
    return tuple(found.shape if hasattr(found, "shape") else found[0].shape)
