"""LiteRT with the XNNPACK delegate: one .tflite per unit, by litert-torch (once ai-edge-torch)."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.lowering import tflite
from pipeline.lowering.backend import Program
from pipeline.lowering.interpreter import TfliteProgram
from pipeline.lowering.keras import keras_to_tflite
from pipeline.model.keras import keras_models
from pipeline.settings import BackendName


class LiteRt:
    """The `litert` backend. See `pipeline.lowering.backend.Backend`.

    The converter is the package litert-torch, which was called ai-edge-torch before; ai-edge-litert
    is the runtime that was tf.lite.
    """

    name: BackendName = "litert"
    suffix = ".tflite"

    @property
    def minimum_runtime(self) -> str:
        # The oldest library whose C functions take the parameters that our engine gives them.
        return "2.1.6"

    def rewrite(self, module: nn.Module, name: str) -> nn.Module:
        # Its delegate takes all that our families are made of as they are. The rewriting for
        # ExecuTorch would work here too, but gains nothing.
        return module

    def lower(self, module: nn.Module, example: Tensor, name: str) -> Program:
        models = keras_models(module)
        converted = keras_to_tflite(models) if models else _convert(module, example)
        data = tflite.without_tensor_names(converted)
        if turned := tflite.transposed_edges(data):
            raise UsageError(
                f"{name} transposes at its {' and '.join(turned)}: every inference would pay for "
                "an order of axes that no neighbour wants",
                "write the module so that its edges can stay channels last, such as a head that "
                "takes the mean over height and width",
            )
        operators = tflite.count_operators(data)
        delegates = TfliteProgram(data).delegates()
        if delegates != 1 or not _whole(data):
            listed = ", ".join(f"{count} x {operator}" for operator, count in operators.items())
            raise UsageError(
                f"{name} does not fit into one XNNPACK delegate: {delegates} delegates for "
                f"{listed}",
                "write it in terms of operators that XNNPACK takes",
            )
        return Program(data, operators, sum(operators.values()))

    def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
        features = _natural(inputs).numpy()
        for program in chain:
            features = TfliteProgram(program).run(features)
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
