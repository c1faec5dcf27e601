"""Parity: how far a lowered program is from eager PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest deviation over some real inputs.

    Attributes:
        max_abs: largest absolute difference of any output element.
        max_rel: that, divided by the largest absolute reference element.
        inputs: how many inputs were compared.
    """

    max_abs: float
    max_rel: float
    inputs: int

    @classmethod
    def of(cls, outputs: Tensor, reference: Tensor) -> Parity:
        """Compares two tensors of the same shape ``[n, ...]``; NaN counts as infinitely far."""
        difference = (outputs - reference).abs()
        difference = torch.where(difference.isfinite(), difference, torch.inf)
        largest = float(difference.max())
        scale = max(float(reference.abs().max()), torch.finfo(torch.float32).tiny)
        return cls(largest, largest / scale, len(reference))

    def require(self, tolerance: float, name: str) -> None:
        """Refuses a deviation above `tolerance`.

        Raises:
            IntegrityError: `max_rel` is larger; names the program.
        """
        if not self.max_rel <= tolerance:
            raise IntegrityError(
                f"{name} deviates from eager PyTorch by {self.max_rel:.2e} relative "
                f"(allowed: {tolerance:.0e}), {self.max_abs:.2e} absolute",
                "raise lowering.tolerance only if you know why; otherwise report the operator",
            )
