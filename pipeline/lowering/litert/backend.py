"""LiteRT with the XNNPACK delegate: one .tflite per unit, by litert-torch (once ai-edge-torch).

All of a unit runs in one delegate, but for lookups of tokens and what becomes of tokens before.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from pipeline.core.errors import first_lines
from pipeline.lowering.backend import Program
from pipeline.lowering.blame import blaming, unit_refused
from pipeline.lowering.graph import OperatorGraph, Origin, operators_of
from pipeline.lowering.litert import flatbuffer as tflite
from pipeline.lowering.litert.interpreter import TfliteProgram
from pipeline.lowering.litert.keras_export import keras_to_tflite
from pipeline.lowering.litert.quantize import quantized
from pipeline.lowering.litert.rules import RULES, SIGNAL_RULES
from pipeline.lowering.precision import Quantization
from pipeline.lowering.rewrite import rewritten
from pipeline.lowering.rules.sequence import in_images
from pipeline.model.keras_unit import keras_models
from pipeline.settings import BACKENDS

_TRANSPOSED = (
    "every inference would pay for an order of axes that no neighbor wants: write it so that its "
    "edges stay channels last, such as a head that takes the mean over height and width"
)


class LiteRt:
    """The `litert` backend. See `pipeline.lowering.backend.Backend`.

    The converter is the package litert-torch, which was called ai-edge-torch before; ai-edge-litert
    is the runtime that was tf.lite.
    """

    spec = BACKENDS["litert"]

    @property
    def minimum_runtime(self) -> str:
        # The oldest library whose C functions take the parameters that our engine gives them.
        return "2.1.6"

    def lower(
        self,
        module: nn.Module,
        example: Tensor,
        name: str,
        quantization: Quantization | None = None,
    ) -> Program:
        if models := keras_models(module):
            return self._accepted(keras_to_tflite(models), None, name)
        graph = in_images(operators_of(module), SIGNAL_RULES, example)
        graph = rewritten(graph, RULES, example)
        with blaming(graph, name, self.spec.name):
            converted = _convert(graph, example)
            if quantization is not None:  # of the one recipe that its spec has
                converted = quantized(converted)
        return self._accepted(converted, graph, name)

    def _accepted(self, converted: bytes, graph: OperatorGraph | None, name: str) -> Program:
        """The program, if the delegate runs all of it; the graph tells where operators are from."""

        def found(node: tflite.Node) -> tuple[Origin | None, str]:
            return (graph.origin_of(node.output) if graph else None, node.operator)

        turned = tflite.transposed_edges(converted)
        if turned:
            raise unit_refused(name, self.spec.name, [found(node) for node in turned], _TRANSPOSED)
        try:
            program = TfliteProgram(converted)
        except (ValueError, RuntimeError) as error:  # the interpreter lacks an operator
            lacking = [found(node) for node in tflite.named_in(converted, str(error))]
            raise unit_refused(
                name, self.spec.name, lacking or [(None, first_lines(error))]
            ) from error
        outside = [found(node) for node in program.outside_delegates()]
        lookups = [operator for origin, operator in outside if _looks_up(origin, operator)]
        left = [each for each in outside if not _looks_up(*each)]
        # One more before each lookup, which makes tokens of what is none.
        most = 1 + lookups.count("EMBEDDING_LOOKUP")
        whole = 1 <= program.delegates() <= most and (lookups or _whole(converted))
        if not left and not whole:
            left = [(None, f"{program.delegates()} delegates")]
        if left:
            raise unit_refused(name, self.spec.name, left)
        data = tflite.without_tensor_names(converted)
        operators = tflite.count_operators(data)
        return Program(data, operators, sum(operators.values()) - len(lookups))

    def load(self, program: bytes) -> TfliteProgram:
        return TfliteProgram(program)

    def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
        features = _natural(inputs).numpy()
        for program in chain:
            features = self.load(program).run(features)
        return _channels_first(torch.from_numpy(features))


def _convert(module: nn.Module, example: Tensor) -> bytes:
    os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "n")
    import litert_torch

    with torch.no_grad():
        rank = module(example).dim()
        converted = litert_torch.convert(_Edges(module, rank).eval(), (_natural(example),))
    return bytes(converted.model_content())


class _Edges(nn.Module):
    """A module whose image inputs and outputs are channels last (NHWC), as LiteRT computes.

    The converter cancels these transpositions against those that it makes for convolutions.
    """

    def __init__(self, module: nn.Module, output_rank: int) -> None:
        super().__init__()
        self.module = module
        self.output_rank = output_rank

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.module(_channels_first(features))
        return outputs.permute(0, 2, 3, 1) if self.output_rank == 4 else outputs


def _looks_up(origin: Origin | None, operator: str) -> bool:
    """Whether an operator is part of a lookup of tokens."""
    return origin is not None and origin.operator == "embedding" and operator in tflite.LOOKUP


def _natural(tensor: Tensor) -> Tensor:
    return (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).contiguous()


def _channels_first(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor


def _whole(data: bytes) -> bool:
    """Whether all of a program runs in delegates."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    compiled = CompiledModel.from_buffer(data, hardware_accel=HardwareAccelerator.CPU)
    return bool(compiled.is_fully_accelerated())
