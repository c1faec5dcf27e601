"""What can be computed before an app ever runs: constants, and batch normalization.

XNNPACK's passes would fold batch normalization too, but constants made there lose their names and
hash differently from program to program. Folding first gives every backend the same convolutions.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from pipeline.lowering.graph import (
    OperatorGraph,
    Origin,
    add_constant,
    constant_of,
    is_call,
    is_constant,
    shape_of,
)
from pipeline.lowering.permute import sink_permutations
from pipeline.lowering.real_numbers import require_real
from pipeline.lowering.refusal import NotLoweredError, Refusal

aten = torch.ops.aten

#: With their first argument as their value, for inference.
_IDENTITIES = {
    aten.alias.default,
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
}
#: Of these, too, where they change no shape: a slice of everything, an expansion to what is there.
_STILL_IF_SAME_SHAPE = {
    aten.expand.default,
    aten.expand_as.default,
    aten.reshape.default,
    aten.slice.Tensor,
    aten.view.default,
}
#: Of their first argument they read the shape alone.
_MADE_ALIKE = {
    aten.empty_like.default,
    aten.full_like.default,
    aten.new_empty.default,
    aten.new_full.default,
    aten.new_ones.default,
    aten.new_zeros.default,
    aten.ones_like.default,
    aten.zeros_like.default,
}
#: They need an order in memory that another order of calls before them may not give.
_VIEWS = {aten._unsafe_view.default, aten.view.default, aten.view_as.default}
_DROPOUTS = {
    aten.alpha_dropout.default,
    aten.dropout.default,
    aten.feature_alpha_dropout.default,
    aten.feature_dropout.default,
}
_CONVOLUTIONS = {
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
    aten.conv1d.padding,
    aten.conv2d.padding,
    aten.conv3d.padding,
}
_TRANSPOSED = {
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.conv_transpose3d.input,
}


def folded(graph: OperatorGraph, name: str, example: Tensor) -> OperatorGraph:
    """An equal graph without batch normalization, and without calls on constants alone.

    Args:
        graph: as captured; it stays as it is.
        name: how errors call it.
        example: one input ``[1, ...]``.

    Raises:
        NotLoweredError: it draws random numbers, or computes with complex ones.
    """
    body = editable(graph, example)
    for node in list(body.graph.nodes):
        if is_call(node) and _is_identity(node):
            node.replace_all_uses_with(node.all_input_nodes[0])
            body.graph.erase_node(node)
        elif node.target in _VIEWS:
            # What made the tensor contiguous for it is gone.
            node.target, node.args = aten.reshape.default, (node.args[0], list(shape_of(node)))
            node.kwargs = {}
        elif node.target in _MADE_ALIKE:
            _make(body, node)
    _require_same_each_time(body, name)
    fold_constants(body)
    require_real(body, name)
    for node in list(body.graph.nodes):
        if node.target is aten.batch_norm.default:
            _fold_norm(body, node)
    sink_permutations(body)
    return settled(body)


def editable(graph: OperatorGraph, example: Tensor) -> fx.GraphModule:
    """A copy to work on, whose nodes know their shapes and, if calls, their origins."""
    copied = fx.Graph()
    nodes: dict[fx.Node, fx.Node] = {}
    copied.output(copied.graph_copy(graph.body.graph, nodes))
    for node, origin in graph.calls():
        nodes[node].meta["origin"] = origin
    body = fx.GraphModule(graph.body, copied)
    ShapeProp(body).propagate(example)
    return body


def fold_constants(body: fx.GraphModule) -> None:
    """Puts the value in place of every call that no input reaches."""
    values: dict[fx.Node, Any] = {}
    for node in list(body.graph.nodes):
        if is_constant(node):
            values[node] = constant_of(body, node)
        elif is_call(node) and all(source in values for source in node.all_input_nodes):
            arguments = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = cast(Any, node.target)(*arguments[0], **arguments[1])
    for node in [node for node in values if is_call(node)]:
        value = values[node]
        if isinstance(value, Tensor) and any(user not in values for user in node.users):
            with body.graph.inserting_before(node):
                node.replace_all_uses_with(add_constant(body, value))
    body.graph.eliminate_dead_code()


def settled(body: fx.GraphModule) -> OperatorGraph:
    """The finished graph, its constants named in the order of their use."""
    body.graph.eliminate_dead_code()
    final = fx.GraphModule(nn.Module(), fx.Graph())
    nodes: dict[fx.Node, fx.Node] = {}
    constants: dict[str, fx.Node] = {}
    origins: list[Origin] = []
    for node in body.graph.nodes:
        if is_constant(node):
            place = str(node.target)
            if place not in constants:
                constants[place] = add_constant(final, constant_of(body, node))
            nodes[node] = constants[place]
        else:
            nodes[node] = final.graph.node_copy(node, nodes.__getitem__)
            nodes[node].meta = {}
            if is_call(node):
                origins.append(node.meta["origin"])
    final.recompile()
    return OperatorGraph(final, origins)


def _make(body: fx.GraphModule, node: fx.Node) -> None:
    """Puts the value in the place of a tensor that is made like another, such as a mask's zeros."""
    source, *others = node.all_input_nodes
    if others:
        return
    alike = torch.zeros(shape_of(source), dtype=source.meta["tensor_meta"].dtype)
    value = cast(Any, node.target)(alike, *node.args[1:], **node.kwargs)
    if "empty" in str(node.target):
        value.zero_()  # whatever lies there is the same in every program
    with body.graph.inserting_before(node):
        constant = add_constant(body, value)
    constant.meta["tensor_meta"] = node.meta["tensor_meta"]
    node.replace_all_uses_with(constant)
    body.graph.erase_node(node)


def _is_identity(node: fx.Node) -> bool:
    if node.target is aten.cat.default:
        return len(cast(Any, node.args[0])) == 1
    if node.target is aten.pad.default:
        return not any(cast(Any, node.args[1]))
    if node.target in _DROPOUTS:
        return node.args[2] is False
    if node.target in _STILL_IF_SAME_SHAPE:
        return shape_of(node) == shape_of(node.all_input_nodes[0])
    return node.target in _IDENTITIES


def _require_same_each_time(body: fx.GraphModule, name: str) -> None:
    random = [
        node.meta["origin"]
        for node in body.graph.nodes
        if is_call(node)
        and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        and not _is_still(node)
    ]
    if random:
        raise NotLoweredError(
            name,
            "",
            [
                Refusal(origin.path, origin.operator, "draw no random numbers in eval mode")
                for origin in random
            ],
        )


def _is_still(node: fx.Node) -> bool:
    """Whether an operator that may draw random numbers was told not to."""
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
    arguments = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    switches = [arguments[name] for name in ("train", "training", "dropout_p") if name in arguments]
    return bool(switches) and not any(switches)


def _fold_norm(body: fx.GraphModule, node: fx.Node) -> None:
    """Folds one batch normalization into what it follows, or makes it a map of each channel."""
    previous, weight, bias, mean, variance = (_node(argument) for argument in node.args[:5])
    if node.args[5] or previous is None or not (mean and variance):
        return  # by the batch's statistics: no backend takes it, so it is refused by name there
    epsilon: Any = node.args[7]
    scale = (constant_of(body, variance).double() + epsilon).rsqrt()
    if weight is not None:
        scale = scale * constant_of(body, weight).double()
    shift = -constant_of(body, mean).double() * scale
    if bias is not None:
        shift = shift + constant_of(body, bias).double()
    with body.graph.inserting_before(node):
        new = _into_previous(body, previous, scale, shift)
        if new is None:
            new = _channel_map(body, previous, scale, shift, node)
    node.replace_all_uses_with(new)
    body.graph.erase_node(node)


def _into_previous(
    body: fx.GraphModule, previous: fx.Node, scale: Tensor, shift: Tensor
) -> fx.Node | None:
    """The convolution or linear map before a normalization with both in it, if it has one."""
    linear = previous.target is aten.linear.default and len(shape_of(previous)) == 2
    transposed = previous.target in _TRANSPOSED
    if len(previous.users) != 1 or not (linear or transposed or previous.target in _CONVOLUTIONS):
        return None
    source, weight, bias = previous.args[:3]
    if not is_constant(weight) or not (bias is None or is_constant(bias)):
        return None
    weights = constant_of(body, weight).double()  # type: ignore[arg-type]
    sizes = [1] * (weights.dim() - 1)
    factor = scale.reshape(-1, *sizes)
    if transposed:
        # [in, out / groups, ...]: the inputs of a group lie one after the other
        groups: Any = previous.args[6]
        shares = scale.reshape(groups, 1, -1)
        factor = shares.expand(-1, len(weights) // groups, -1).reshape(len(weights), -1, *sizes[1:])
    if bias is not None:
        shift = shift + constant_of(body, bias).double() * scale  # type: ignore[arg-type]
    arguments = (
        source,
        add_constant(body, (weights * factor).float()),
        add_constant(body, shift.float()),
        *previous.args[3:],
    )
    new = body.graph.call_function(cast(Any, previous.target), arguments)
    new.meta.update(previous.meta)
    return new


def _channel_map(
    body: fx.GraphModule, source: fx.Node, scale: Tensor, shift: Tensor, norm: fx.Node
) -> fx.Node:
    """Images by a depthwise 1x1 convolution, anything else by a product and a sum."""
    rank = len(shape_of(norm))
    if rank == 4:
        weight = add_constant(body, scale.float().reshape(-1, 1, 1, 1))
        bias = add_constant(body, shift.float())
        arguments = (source, weight, bias, [1, 1], [0, 0], [1, 1], len(scale))
        new = body.graph.call_function(aten.conv2d.default, arguments)
    else:
        sizes = (-1, *[1] * (rank - 2))
        factor = add_constant(body, scale.float().reshape(sizes))
        summand = add_constant(body, shift.float().reshape(sizes))
        product = body.graph.call_function(aten.mul.Tensor, (source, factor))
        product.meta["origin"] = norm.meta["origin"]
        new = body.graph.call_function(aten.add.Tensor, (product, summand))
    new.meta.update(norm.meta)
    return new


def _node(argument: object) -> fx.Node | None:
    return argument if isinstance(argument, fx.Node) else None
