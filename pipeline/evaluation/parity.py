"""Parity: how far a lowered program is from eager PyTorch, and how far it may be. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.core.decibels import decibels
from pipeline.core.errors import IntegrityError

_TINY = float(np.finfo(np.float32).tiny)


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
    def of(cls, outputs: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Parity:
        """Compares two arrays of the same shape ``[n, ...]``; NaN counts as infinitely far."""
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(outputs - reference)
            difference[~np.isfinite(difference)] = np.inf
            signal = float(np.square(reference, dtype=np.float64).sum())
            noise = float(np.square(difference, dtype=np.float64).sum())
        largest = float(difference.max())
        scale = max(float(np.abs(reference).max()), _TINY)
        return cls(largest, largest / scale, len(reference), decibels(signal, noise))


@dataclass(frozen=True, slots=True)
class ParityLimit:
    """How far a program may be from eager PyTorch: the one rule of builds, devices and gates.

    Attributes:
        tolerance: the largest `Parity.max_rel` of programs that compute in float32.
        least_sqnr_db: what quantized programs are held against instead; None where none is.
    """

    tolerance: float
    least_sqnr_db: float | None = None

    def multiple(self, max_rel: float, sqnr_db: float) -> float:
        """A deviation as a multiple of the largest that may be; NaN and infinity are infinite."""
        if not np.isfinite(max_rel):
            return float("inf")
        if self.least_sqnr_db is None:
            return max_rel / self.tolerance
        return float(10 ** ((self.least_sqnr_db - sqnr_db) / 20))

    def require(self, parity: Parity, name: str) -> None:
        """Refuses a larger deviation.

        Raises:
            IntegrityError: it is larger; names the program.
        """
        if self.multiple(parity.max_rel, parity.sqnr_db) <= 1:
            return
        if self.least_sqnr_db is None:
            raise IntegrityError(
                f"{name} deviates from eager PyTorch by {parity.max_rel:.2e} relative "
                f"(allowed: {self.tolerance:.0e}), {parity.max_abs:.2e} absolute",
                "raise lowering.tolerance only if you know why; otherwise report the operator",
            )
        raise IntegrityError(
            f"{name}, quantized, is {parity.sqnr_db:.1f} dB above its difference from eager "
            f"PyTorch (at least: {self.least_sqnr_db:g}), {parity.max_rel:.2e} relative at most",
            'give this block "fp32" in [lowering.precision], calibrate it on more images, or '
            "lower least_sqnr_db if its accuracy is good enough for you",
        )
