"""A backend for tests: its programs are affine maps, which tests/toy_engine runs on a device.

A program is ``toy1``, how many floats it reads and writes, then for each that it writes an offset
and a row of weights; all of it little-endian.
"""

from __future__ import annotations

import struct

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.lowering.backend import Program
from pipeline.lowering.precision import Quantization
from pipeline.settings import BackendSpec, RuntimeLibrary

SPEC = BackendSpec(
    *("toy", ".toy", "tests.toy_backend:Toy"),
    packages=("torch",),
    runtime=RuntimeLibrary("torch", "torch"),
)
_HEADER = struct.Struct("<4sII")

#: Blocks that are affine, of other widths in teacher and student.
MODEL = """
import torch
from torch import nn
from pipeline.ingest.python import OwnModel

class Network(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.embedder = nn.Flatten()
        self.blocks = nn.ModuleList(map(nn.Linear, (64, *widths[:-1]), widths))
        self.classifier = nn.Linear(widths[-1], 10)

def model():
    return OwnModel(
        Network(16, 12), Network(8, 6), (1, 8, 8), [nn.Linear(16, 8)], [nn.Linear(8, 16)]
    )
"""
PROFILE = """
name = "affine"
[data]
source = "digits"
image_size = 8
[model]
source = "python:FILE:model"
[schedule]
stages = "all"
[lowering]
backend = "toy"
precision = "auto"
[bundle]
golden_images = 3
evaluation_images = 40
"""


class Toy:
    """See `pipeline.lowering.backend.Backend`."""

    spec = SPEC
    minimum_runtime = "1.0.0"

    @torch.no_grad()
    def lower(
        self,
        module: nn.Module,
        example: Tensor,
        name: str,
        quantization: Quantization | None = None,
    ) -> Program:
        points = torch.cat([torch.zeros(1, example.numel()), torch.eye(example.numel())])
        found = torch.cat([module(_shaped(point, example)) for point in points])
        rows = torch.cat([found[:1], found[1:] - found[0]]).T
        header = _HEADER.pack(b"toy1", example.numel(), len(rows))
        return Program(header + rows.contiguous().numpy().tobytes(), {"affine": 1}, 1)

    def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
        values = (inputs.permute(0, 2, 3, 1) if inputs.dim() == 4 else inputs).flatten(1)
        for program in chain:
            _, size, _ = _HEADER.unpack_from(program)
            rows = np.frombuffer(program, "<f4", offset=_HEADER.size).reshape(-1, size + 1)
            table = torch.from_numpy(rows.copy())
            values = table[:, 0] + values @ table[:, 1:].T
        return values


def _shaped(values: Tensor, example: Tensor) -> Tensor:
    """Values in the order in which they lie in memory, as a module takes them."""
    if example.dim() != 4:
        return values.reshape(example.shape)
    _, channels, height, width = example.shape
    return values.reshape(1, height, width, channels).permute(0, 3, 1, 2).contiguous()
