"""A backend for tests: its programs are exported graphs, which PyTorch itself runs."""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn

from pipeline.lowering.backend import Program
from pipeline.lowering.graph import operators_of
from pipeline.settings import BackendSpec, RuntimeLibrary

SPEC = BackendSpec(
    *("toy", ".pt2", "tests.toy_backend:Toy"),
    packages=("torch",),
    runtime=RuntimeLibrary("torch", "torch"),
)


class Toy:
    """See `pipeline.lowering.backend.Backend`."""

    spec = SPEC
    minimum_runtime = "1.0.0"

    def lower(self, module: nn.Module, example: Tensor, name: str) -> Program:
        file = io.BytesIO()
        torch.export.save(torch.export.export(operators_of(module), (example,)), file)
        return Program(file.getvalue(), {"graph": 1}, 1)

    def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
        programs = [torch.export.load(io.BytesIO(data)).module() for data in chain]
        outputs = []
        for item in torch.split(inputs, 1):
            for program in programs:
                item = program(item)
            outputs.append(item)
        return torch.cat(outputs)
