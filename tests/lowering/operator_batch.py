"""Many operators in one program, each seen by itself: one conversion takes seconds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.lowering.capture import capture
from pipeline.lowering.refusal import NotLoweredError
from pipeline.lowering.registry import backend_for
from pipeline.settings import BackendName, LoweringSettings
from tests.lowering.operator_table import Case, inputs_of, module_of

#: Relative to the largest output; float32 in another order of sums.
EXACT = 1e-5


class Batch(nn.Module):
    """Operators side by side on one input.

    An image's outputs are weighed by a fixed image of random numbers and averaged by channel, so
    that a pixel in a wrong place shows; those of tokens lie one behind the other, as channels.
    """

    def __init__(self, cases: Sequence[Case], inputs: Tensor) -> None:
        super().__init__()
        self.parts = nn.ModuleList(module_of(case) for case in cases)
        self.images = inputs.dim() == 4
        self.ranges: list[tuple[int, int]] = []
        weights = []
        start = 0
        with torch.no_grad():
            for part in self.parts:
                outputs = part(inputs[:1])
                weights.append(torch.rand(outputs.shape) + 0.5)
                width = outputs.shape[1] if self.images else outputs[0].numel()
                self.ranges.append((start, start + width))
                start += width
        for index, weight in enumerate(weights):
            self.register_buffer(f"weight{index}", weight)
        # The edges are those of a convolution or a linear map that changes nothing.
        self.first = _unchanging(inputs.shape[1]) if self.images else nn.Identity()
        self.last = _unchanging(start)

    def forward(self, features: Tensor) -> Tensor:
        features = self.first(features)
        outputs = []
        for index, part in enumerate(self.parts):
            found = part(features)
            if self.images:
                found = found if found.dim() == 4 else found[:, :, None, None]
                weight = self.get_buffer(f"weight{index}").reshape(1, *found.shape[1:])
                found = (found * weight).mean((2, 3), keepdim=True)
            else:
                found = found.reshape(1, -1, 1, 1)
            outputs.append(found)
        joined: Tensor = self.last(torch.cat(outputs, 1) if len(outputs) > 1 else outputs[0])
        return joined

    def places(self, cases: Sequence[Case]) -> dict[str, str]:
        """The names of the cases by their paths."""
        return {f"parts.{index}": case.name for index, case in enumerate(cases)}


def deviations(outputs: Tensor, reference: Tensor, batch: Batch) -> list[float]:
    """By operator: the largest deviation of an output beside the largest output for its input."""
    found = []
    for start, end in batch.ranges:
        mine, right = outputs[:, start:end].flatten(1), reference[:, start:end].flatten(1)
        far = (mine - right).abs().amax(1) / right.abs().amax(1).clamp(min=1e-30)
        found.append(float(torch.where(far.isfinite(), far, torch.inf).max()))
    return found


def batch_of(cases: Sequence[Case]) -> tuple[Batch, Tensor]:
    """A batch of cases of one input shape, and inputs for it ``[3, ...]``."""
    inputs = inputs_of(cases[0])
    return Batch(cases, inputs).eval(), inputs


def _unchanging(channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, channels, 1, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.eye(channels)[:, :, None, None])
    return convolution


def taken(cases: Sequence[Case], backend: BackendName) -> dict[str, bool]:
    """By name: whether a backend lowers an operator whole; False where it refuses it by name.

    Args:
        cases: of one input shape; they are lowered in one program, but for those that are refused.
        backend: to lower them with.

    Raises:
        AssertionError: what was lowered computes something else, or a refusal names no operator.
    """
    target = backend_for(LoweringSettings(backend=(backend,)))
    batch, inputs = batch_of(cases)
    graph = capture(batch, inputs[:1], "batch", batch.places(cases))
    try:
        program = target.lower(graph, inputs[:1], "batch")
    except NotLoweredError as error:
        paths = {refusal.path for refusal in error.refusals}
        guilty = [case for case in cases if any(_within(path, case.name) for path in paths)]
        assert all(any(_within(path, case.name) for case in guilty) for path in paths), paths
        rest = [case for case in cases if case not in guilty]
        return {case.name: False for case in guilty} | (taken(rest, backend) if rest else {})
    with torch.no_grad():
        expected = torch.cat([batch(item) for item in inputs.split(1)])
    far = deviations(target.run([program.data], inputs), expected, batch)
    wrong = {case.name: far for case, far in zip(cases, far, strict=True) if not far < EXACT}
    assert not wrong, wrong
    return {case.name: True for case in cases}


def _within(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")
