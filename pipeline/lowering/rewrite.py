"""Rewrites operators that a backend does not take in terms of those that it does.

A rule sees one call of the user's, never its neighbors or its weights' values, and computes the
same for every input. What a lowered unit is compared with is always the user's own module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, fx

from pipeline.lowering.fold import editable, fold_constants, settled
from pipeline.lowering.graph import OperatorGraph, add_constant, constant_of, is_constant, shape_of


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an ATen operator, as a rule sees it.

    Attributes:
        node: the call.
        body: the graph's module.
        tracer: adds what a rule computes to the graph.
    """

    node: fx.Node
    body: fx.GraphModule
    tracer: fx.proxy.TracerBase

    @property
    def arguments(self) -> list[Any]:
        """All positional arguments, defaults too; a rule computes with the tensors among them."""
        return [fx.node.map_arg(argument, cast(Any, self.proxy)) for argument in self.node.args]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first tensor."""
        return self.shape_of(0)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Of the output."""
        return shape_of(self.node)

    def shape_of(self, index: int) -> tuple[int, ...]:
        """Of the tensor that is the argument at `index`."""
        source = self.node.args[index]
        return self.sizes(source) if isinstance(source, fx.Node) else ()

    def sizes(self, node: fx.Node) -> tuple[int, ...]:
        """Of what a node gives."""
        if is_constant(node):
            return tuple(constant_of(self.body, node).shape)
        return shape_of(node)

    def constant(self, value: Tensor) -> Tensor:
        """A tensor of the program's own."""
        return self.proxy(add_constant(self.body, value))

    def proxy(self, node: fx.Node) -> Tensor:
        """What a node gives, to compute with; it is recorded, and has no value."""
        return cast(Tensor, fx.Proxy(node, self.tracer))

    def value_of(self, index: int) -> Tensor | None:
        """The value of the argument at `index`, if it is a constant tensor."""
        source = self.node.args[index]
        if isinstance(source, fx.Node) and is_constant(source):
            return constant_of(self.body, source)
        return None


#: Gives what takes the place of a call's output; None where the call stays.
Rule = Callable[[Call], Tensor | tuple[Tensor, ...] | None]
Rules = Mapping[Any, Rule]


def rewritten(graph: OperatorGraph, rules: Rules, example: Tensor) -> OperatorGraph:
    """An equal graph in which rules have been applied.

    Args:
        graph: as captured; it stays as it is.
        rules: by ATen operator.
        example: one input ``[1, ...]``.
    """
    body = editable(graph, example)
    tracer = fx.proxy.GraphAppendingTracer(body.graph)
    for node in list(body.graph.nodes):
        if (rule := rules.get(node.target)) is None:
            continue
        before = set(body.graph.nodes)
        with body.graph.inserting_before(node):
            result = rule(Call(node, body, tracer))
        for new in set(body.graph.nodes) - before:
            new.meta.setdefault("origin", node.meta["origin"])
        if isinstance(result, tuple):
            for user in list(node.users):
                _replace(body, user, _node_of(result[user.args[1]]))
            body.graph.erase_node(node)
        elif result is not None:
            _replace(body, node, _node_of(result))
    fold_constants(body)
    return settled(body)


def _node_of(value: object) -> fx.Node:
    return cast(fx.Proxy, value).node


def _replace(body: fx.GraphModule, old: fx.Node, new: fx.Node) -> None:
    new.meta["tensor_meta"] = old.meta["tensor_meta"]
    old.replace_all_uses_with(new)
    body.graph.erase_node(old)
