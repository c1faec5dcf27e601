"""What a mobile runtime has to offer to be a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from pipeline.lowering.precision import Quantization
from pipeline.settings import BackendSpec


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor at a program's edge, as its bytes lie in memory.

    Attributes:
        shape: sizes in memory order, batch axis first.
        layout: ``NHWC`` for images, ``NC`` for logits, ``NTC`` for sequences, whose axes stay in
            the order of PyTorch, be it ``[n, tokens, width]`` or ``[n, channels, time]``; ``ND``
            for more axes, which stay, too.
    """

    shape: tuple[int, ...]
    layout: str

    @classmethod
    def of(cls, tensor: Tensor) -> TensorSpec:
        """The edge of one item of a batch ``[n, channels, height, width]`` or ``[n, ...]``."""
        sizes = tuple(tensor.shape[1:])
        if len(sizes) == 3:
            return cls((1, sizes[1], sizes[2], sizes[0]), "NHWC")
        return cls((1, *sizes), {1: "NC", 2: "NTC"}.get(len(sizes), "ND"))


@dataclass(frozen=True, slots=True)
class Program:
    """A lowered module.

    Attributes:
        data: the bytes of the file that ships.
        operators: how often each operator occurs in it.
        delegated: how many of these the XNNPACK delegate runs.
    """

    data: bytes
    operators: Mapping[str, int]
    delegated: int


class Backend(Protocol):
    """Turns modules into programs of a mobile runtime, and runs them on this machine.

    Float32 tensors cross a program's edges; images lie channels last in memory (NHWC).
    """

    @property
    def spec(self) -> BackendSpec:
        """What it is called, and what else is known of it without its libraries."""
        ...

    @property
    def minimum_runtime(self) -> str:
        """Version of the oldest runtime that is promised to read them."""
        ...

    def lower(
        self,
        module: nn.Module,
        example: Tensor,
        name: str,
        quantization: Quantization | None = None,
    ) -> Program:
        """Lowers a module.

        Args:
            module: as `pipeline.lowering.capture.capture` gives it.
            example: one input ``[1, ...]``; its shape is the only one the program takes.
            name: how errors call it.
            quantization: with one of the recipes of `spec`; its calibration features are shaped as
                the example. None: everything stays float32.

        Raises:
            NotLoweredError: the accelerated delegate does not take some operators; names them and
                the modules that use them.
        """
        ...

    def load(self, program: bytes) -> object:
        """A program ready to run, as `run` makes it of the bytes; loaded as long as it is held."""
        ...

    def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
        """Runs programs one after the other on each of ``[n, ...]`` and stacks the outputs."""
        ...
