"""ExecuTorch with the XNNPACK delegate: one .pte per unit.

All of a unit runs in one delegate, but for lookups of tokens and what becomes of tokens before.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.core.fingerprint import versions
from pipeline.lowering.backend import Program
from pipeline.lowering.blame import blaming, unit_refused
from pipeline.lowering.capture import operator_name
from pipeline.lowering.executorch.patterns import matching_patterns
from pipeline.lowering.executorch.quantize import quantized
from pipeline.lowering.executorch.retracing import traced_once
from pipeline.lowering.executorch.rules import QUANTIZED_RULES, RULES, SIGNAL_RULES
from pipeline.lowering.graph import OperatorGraph, Origin, is_call, operators_of
from pipeline.lowering.precision import Quantization
from pipeline.lowering.rewrite import rewritten
from pipeline.lowering.rules.sequence import in_images
from pipeline.settings import BACKENDS

if TYPE_CHECKING:
    from executorch.exir import EdgeProgramManager
    from executorch.runtime import Method

#: They give axes another order.
_TURNS = {"movedim", "permute", "transpose"}


class ExecuTorch:
    """The `executorch` backend. See `pipeline.lowering.backend.Backend`."""

    spec = BACKENDS["executorch"]

    @property
    def minimum_runtime(self) -> str:
        # ExecuTorch promises that a runtime reads programs of its own and the previous minor
        # version, and nothing about newer programs on older runtimes.
        major, minor, *_ = versions("executorch")["executorch"].split(".")
        return f"{major}.{minor}.0"

    def lower(
        self,
        module: nn.Module,
        example: Tensor,
        name: str,
        quantization: Quantization | None = None,
    ) -> Program:
        from executorch.devtools.backend_debug import get_delegation_info

        with (
            torch.no_grad(),
            blaming(
                graph := _rewritten(operators_of(module), example, quantization),
                name,
                self.spec.name,
            ),
        ):
            example = _natural(example)
            edges = _edges(graph, example, quantization)
            edges.reorders = _ordered_by_views(edges, example)
            edge = _delegated(edges, example, graph)
            if not (edges.reorders or _in_order(_output(edge))):
                edges.reorders = True
                edge = _delegated(edges, example, graph)
        lowered = edge.exported_program().graph_module
        info = get_delegation_info(lowered)
        outside = _outside(lowered)
        lookups = [node for node in outside if _looks_up(node)]
        if left := [_found(node, graph) for node in outside if node not in lookups]:
            raise unit_refused(name, self.spec.name, left)
        # One more before each lookup, which makes tokens of what is none. Dynamic scales are found
        # between linear layers, by operators of the delegate, too.
        most = 1 + sum(_name(node) == "embedding" for node in lookups)
        if not 1 <= info.num_delegated_subgraphs <= most and quantization is None:
            raise unit_refused(
                name, self.spec.name, [(None, f"{info.num_delegated_subgraphs} delegates")]
            )
        counts = Counter(map(_name, lookups))
        for entry in info.delegation_by_operator.values():
            counts[_plain_name(entry.op_type)] += entry.delegated
        shown = {each: count for each, count in sorted(counts.items()) if count}
        with traced_once():
            data = bytes(edge.to_executorch().buffer)
        return Program(data, shown, sum(shown.values()) - len(lookups))

    def load(self, program: bytes) -> Method:
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(program).load_method("forward")
        if method is None:
            raise RuntimeError("a program without a forward method")
        return method

    def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
        methods = [self.load(program) for program in chain]
        outputs = []
        for item in torch.split(inputs, 1):
            for method in methods:
                # The runtime owns the output and writes the next one to the same place.
                item = method.execute([_natural(item)])[0].clone()
            outputs.append(item)
        return torch.cat(outputs)


def _rewritten(
    graph: OperatorGraph, example: Tensor, quantization: Quantization | None
) -> OperatorGraph:
    """A graph in terms of what the delegate takes."""
    rules = RULES if quantization is None else {**RULES, **QUANTIZED_RULES}
    return rewritten(in_images(graph, SIGNAL_RULES, example), rules, example)


def _edges(graph: OperatorGraph, example: Tensor, quantization: Quantization | None) -> _Edges:
    """A graph, quantized or as it is, between edges in the order that XNNPACK computes in."""
    rank = graph(example).dim()
    if quantization is None:
        return _Edges(graph, rank, quantized=False)
    calibration = quantization.calibration
    features = () if calibration is None else map(_natural, torch.split(calibration, 1))
    inner = quantized(graph, quantization.recipe, [example, *features])
    edges = _Edges(inner, rank, quantized=True)
    names = {operator_name(node) for node, _ in graph.calls()}
    edges.turns = quantization.recipe == "static_wi8_ai8" and not names.isdisjoint(_TURNS)
    return edges


class _Edges(nn.Module):
    """A module whose image inputs and outputs lie channels last in memory.

    XNNPACK computes on channels last; without this, every unit would transpose twice.
    """

    def __init__(self, module: nn.Module, output_rank: int, *, quantized: bool) -> None:
        super().__init__()
        self.module = module
        self.output_rank = output_rank
        self.quantized = quantized
        self.turns = False  # maps, in what is quantized with scales that are known
        self.reorders = False  # what comes last gives another order than its strides say
        self.training = False  # not eval(), which modules that torchao made refuse

    def forward(self, features: Tensor) -> Tensor:
        outputs = self.computed(features)
        if outputs.dim() == 4:
            if self.reorders:
                outputs = outputs.clone(memory_format=torch.contiguous_format)
            outputs = outputs.to(memory_format=_order(outputs))
        return outputs

    def computed(self, features: Tensor) -> Tensor:
        """The outputs in the order that comes of the module."""
        if features.dim() == 4 and (self.output_rank != 4 or self.turns):
            # Flattening channels-last features becomes as_strided_copy, which no delegate takes.
            # A sum of int8 features and of maps that were turned lowers without an error, and fails
            # when it runs: the delegate does not see that their orders differ.
            features = features.to(memory_format=torch.contiguous_format)
        outputs: Tensor = self.module(features)
        if outputs.dim() == 4 and self.quantized:
            # What is dequantized and then reordered lowers without an error and fails when it runs;
            # a float operator between the two helps.
            outputs = outputs + 0.0
        return outputs


class _Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Copies in place of views, as ExecuTorch makes them: each in the plain order."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        return made.contiguous() if func.is_view and isinstance(made, Tensor) else made


def _ordered_by_views(edges: _Edges, example: Tensor) -> bool:
    """Whether outputs lie in memory as edges do for PyTorch, but not for ExecuTorch.

    A permutation gives strides to PyTorch that are channels last already, so that nothing is left
    to reorder; to ExecuTorch, it gives a tensor in the plain order. What this overlooks is seen in
    the program, and costs another lowering.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        features = fake.from_tensor(example)
        outputs = edges.computed(features)
        with _Copies():  # type: ignore[no-untyped-call]
            copied = edges.computed(features)
        stays = outputs.to(memory_format=_order(outputs)) is outputs
    return stays and not _in_order(copied)


def _delegated(edges: _Edges, example: Tensor, graph: OperatorGraph) -> EdgeProgramManager:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(edges, (example,))
    with matching_patterns(graph.body), traced_once():
        return to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])


def _output(edge: EdgeProgramManager) -> Tensor:
    """A program's output, without its values."""
    (output,) = edge.exported_program().graph_module.graph.output_node().args[0]
    return cast(Tensor, output.meta["val"])


def _in_order(tensor: Tensor) -> bool:
    """Whether it lies in memory as edges do."""
    return tensor.is_contiguous(memory_format=_order(tensor))


def _order(tensor: Tensor) -> torch.memory_format:
    """The order of an edge's axes; where both are the same bytes, the runtime wants the plain one.

    They are with one channel, and with one pixel. Programs whose edges have one pixel channels last
    lower without an error and fail when they run.
    """
    if tensor.dim() == 4 and tensor.shape[1] > 1 and tensor.shape[2:].numel() > 1:
        return torch.channels_last
    return torch.contiguous_format


def _found(node: fx.Node, graph: OperatorGraph) -> tuple[Origin | None, str]:
    """An operator, with where it comes from."""
    return graph.origin_of(str(node.meta.get("nn_module_stack"))), _name(node)


def _outside(lowered: fx.GraphModule) -> list[fx.Node]:
    """The operators outside delegates."""
    return [
        node
        for node in lowered.graph.nodes
        if is_call(node)
        and node.target is not operator.getitem
        and "executorch_call_delegate" not in str(node.target)
    ]


def _looks_up(node: fx.Node) -> bool:
    """Whether an operator is a lookup, or a cast for some; android_harness has kernels for both."""
    if _name(node) == "to_dim_order_copy":
        return all(_name(user) == "embedding" for user in node.users if is_call(user))
    return _name(node) == "embedding"


def _name(node: fx.Node) -> str:
    return _plain_name(cast(Any, node.target).__name__)


def _plain_name(operator: str) -> str:
    """`aten_convolution_default` or `aten.convolution.default` -> `convolution`.

    The dialect and the overload do not matter.
    """
    plain = re.sub(
        r"^(aten|dim_order_ops|quantized_decomposed)[._]+|[._](default|tensor|Tensor|dim)$",
        "",
        operator,
    )
    return plain.split(".")[0].strip("_")


def _natural(tensor: Tensor) -> Tensor:
    """One item in the memory order of the edges, with the strides that this order usually has.

    The copy matters: `contiguous` leaves unusual strides of axes of size 1 alone, and the runtime's
    bindings take those for another order of the axes.
    """
    return tensor.clone(memory_format=_order(tensor))
