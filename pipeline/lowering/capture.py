"""Captures a module: everything it runs for one item, as operators with their places."""

from __future__ import annotations

import copy
import operator
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, fx, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.lowering.fold import folded
from pipeline.lowering.graph import OperatorGraph, Origin, add_constant, is_call
from pipeline.lowering.refusal import NotLoweredError, Refusal
from pipeline.model.keras_unit import keras_models

#: What export makes of a context manager in a forward.
_WRAPPED = {
    "wrap_with_autocast": "leave torch.autocast out of its forward: programs compute in float32",
    "wrap_with_set_grad_enabled": "leave torch.enable_grad and torch.no_grad out of its forward",
}
#: Beside each conversion of a type, export puts a call that holds the type against the traced one.
_CHECK = torch.ops.aten._assert_tensor_metadata.default
_NORM = torch.ops.aten.batch_norm.default
#: What it becomes in eval mode where export replaces other calls, which write in place; it gives
#: the statistics, too, which nobody reads.
_NATIVE_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default


def capture(
    module: nn.Module, example: Tensor, name: str, places: Mapping[str, str] | None = None
) -> nn.Module:
    """The operators that a module runs in eval mode, batch normalization and constants folded.

    Args:
        module: in eval mode; it stays as it is. One of Keras is returned: its converter captures.
        example: one input ``[1, ...]``; its shape is the only one that the graph takes.
        name: how errors call it.
        places: paths in the user's network by paths in the module; both may be prefixes.

    Raises:
        UsageError: it is in training mode (it would lower without an error and be wrong), or its
            code fails or depends on values of tensors.
        NotLoweredError: a part of it cannot be lowered whatever the backend; names all such parts.
    """
    if keras_models(module):
        return module
    if any(part.training for part in module.modules()):
        raise UsageError(
            f"{name} is in training mode: batch normalization would use the batch's statistics",
            "call eval() on the model before lowering it",
        )
    found = _Places(name, places or {})
    _refuse_scripted(module, name, found)
    with torch.no_grad(), eager(), _quiet():
        program = _export(_plain(module), example, name)
        return folded(_graph_of(program, name, found), name, example)


@contextmanager
def eager() -> Iterator[None]:
    """Runs what a user compiled by `torch.compile` as it was written.

    So does torch's own attention, which would otherwise be one operator that no backend knows.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Places:
    """Paths in a unit as paths in the user's network."""

    def __init__(self, name: str, places: Mapping[str, str]) -> None:
        self._name = name
        self._places = places

    def __getitem__(self, path: str) -> str:
        # Wrappers of torch.compile, and calls that export counts, are none of the user's modules.
        parts = [part for part in re.sub(r"@\d+", "", path).split(".") if part != "_orig_mod"]
        for length in range(len(parts), -1, -1):
            prefix = ".".join(parts[:length])
            if (place := self._places.get(prefix)) is not None:
                return ".".join(filter(None, (place, *parts[length:])))
        return ".".join(filter(None, (self._name, *parts)))


def _refuse_scripted(module: nn.Module, name: str, places: _Places) -> None:
    scripted = [
        path for path, part in module.named_modules() if isinstance(part, torch.jit.ScriptModule)
    ]
    # A scripted module consists of scripted ones; the outermost is the user's.
    outermost = [
        path
        for path in scripted
        if not any(
            path != other and f"{path}.".startswith(f"{other}.".lstrip(".")) for other in scripted
        )
    ]
    if outermost:
        remedy = "give the module as it was before torch.jit.script or torch.jit.trace"
        raise NotLoweredError(
            name, "", [Refusal(places[path], "TorchScript", remedy) for path in outermost]
        )


def _plain(module: nn.Module) -> nn.Module:
    """The module without what `torch.compile` and `nn.Module.compile` wrapped around its parts."""
    if isinstance(module, torch._dynamo.eval_frame.OptimizedModule):
        return _plain(module._orig_mod)
    changed = {
        key: new for key, child in module.named_children() if (new := _plain(child)) is not child
    }
    if not changed and module._compiled_call_impl is None:
        return module
    plain = copy.copy(module)
    # A shallow copy shares its table of children with the original.
    plain._modules = {**module._modules, **changed}
    plain._compiled_call_impl = None
    return plain


def _export(module: nn.Module, example: Tensor, name: str) -> torch.export.ExportedProgram:
    try:
        program = torch.export.export(module, (example.clone(),), strict=False)
        if any(is_call(node) and _mutates(node) for node in program.graph.nodes):
            program = program.run_decompositions({})  # none but those that write in place
    except Exception as error:  # a user's code meets tensors without values here
        raise UsageError(
            f"{name} cannot be traced: {type(error).__name__}: {first_lines(error)}",
            "remove control flow that depends on tensor values",
        ) from error
    return program


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema and schema.is_mutable)


def _graph_of(program: torch.export.ExportedProgram, name: str, places: _Places) -> OperatorGraph:
    """An exported program with its constants inside and its module stacks as origins."""
    signature = program.graph_signature
    held = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    values = {**program.state_dict, **program.constants}
    body = fx.GraphModule(nn.Module(), fx.Graph())
    graph = body.graph
    nodes: dict[fx.Node, fx.Node] = {}
    origins: list[Origin] = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in held:
            if node.users:
                nodes[node] = add_constant(body, values[held[node.name]])
        elif node.op == "get_attr":
            raise NotLoweredError(name, "", [_control_flow(node, places)])
        elif node.op == "output":
            mutated = len(signature.output_specs) - len(signature.user_outputs)
            graph.output(nodes[node.args[0][mutated]])
        elif node.target is operator.getitem and node.args[0].target is _NORM:
            nodes[node] = nodes[node.args[0]]
        elif node.target is not _CHECK:
            _restore_norm(node)
            nodes[node] = graph.node_copy(_with_defaults(node), nodes.__getitem__)
            if is_call(node):
                origins.append(_origin(node, places))
    body.recompile()
    return OperatorGraph(body, origins)


def _restore_norm(node: fx.Node) -> None:
    """Makes one of `_NATIVE_NORM` a call of `_NORM` again."""
    if node.target is _NATIVE_NORM:
        *parameters, momentum, epsilon = node.args
        node.target, node.args = _NORM, (*parameters, False, momentum, epsilon, False)


def _with_defaults(node: fx.Node) -> fx.Node:
    """The call with every argument that has a place in its place, those left out too."""
    if isinstance(node.target, torch._ops.OpOverload):
        arguments, named = list(node.args), dict(node.kwargs)
        arguments += [
            named.pop(argument.name, argument.default_value)
            for argument in node.target._schema.arguments[len(arguments) :]
            if not argument.kwarg_only
        ]
        node.args, node.kwargs = tuple(arguments), named
    return node


def _origin(node: fx.Node, places: _Places) -> Origin:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    # What an operator of several outputs gives is read from them by a call of its own.
    named = node.args[0] if node.target is operator.getitem else node
    return Origin(places[stack[-1][0] if stack else ""], operator_name(cast(fx.Node, named)))


def _control_flow(node: fx.Node, places: _Places) -> Refusal:
    user = next(iter(node.users))
    origin = _origin(user, places)
    remedy = _WRAPPED.get(origin.operator, "write it without branches and loops of torch's")
    return Refusal(origin.path, origin.operator, remedy)


def operator_name(node: fx.Node) -> str:
    """An operator as the field calls it: `aten.gelu.default` is gelu."""
    target = node.target
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet)).strip("_")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
