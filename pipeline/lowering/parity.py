"""Parity: how far a lowered program is from eager PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.decibels import decibels
from pipeline.core.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Parity:
    """The deviation over some real inputs.

    Attributes:
        max_abs: largest absolute difference of any output element.
        max_rel: that, divided by the largest absolute reference element.
        inputs: how many inputs were compared.
        sqnr_db: signal to quantization noise: the reference's energy over the difference's, in
            decibels, 200 at most; what quantized programs are judged by.
    """

    max_abs: float
    max_rel: float
    inputs: int
    sqnr_db: float

    @classmethod
    def of(cls, outputs: Tensor, reference: Tensor) -> Parity:
        """Compares two tensors of the same shape ``[n, ...]``; NaN counts as infinitely far."""
        difference = (outputs - reference).abs()
        difference = torch.where(difference.isfinite(), difference, torch.inf)
        largest = float(difference.max())
        scale = max(float(reference.abs().max()), torch.finfo(torch.float32).tiny)
        signal = float(reference.double().square().sum())
        noise = float(difference.double().square().sum())
        return cls(largest, largest / scale, len(reference), decibels(signal, noise))

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

    def require_sqnr(self, least_db: float, name: str) -> None:
        """Refuses a quantized program that adds more noise than `least_db` allows.

        Raises:
            IntegrityError: `sqnr_db` is less; names the program.
        """
        if not self.sqnr_db >= least_db:
            raise IntegrityError(
                f"{name}, quantized, is {self.sqnr_db:.1f} dB above its difference from eager "
                f"PyTorch (at least: {least_db:g}), {self.max_rel:.2e} relative at most",
                'give this block "fp32" in [lowering.precision], calibrate it on more images, or '
                "lower least_sqnr_db if its accuracy is good enough for you",
            )
