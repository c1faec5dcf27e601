"""What units are lowered for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.fingerprint import fingerprint
from pipeline.core.producers import LOWERING, QUANTIZATION
from pipeline.settings import BACKENDS, PLAIN, LoweringSettings

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.lowering.precision import Quantization


@dataclass(frozen=True, slots=True)
class LoweringTarget:
    """A backend, with all that a lowering depends on beside the unit.

    Attributes:
        settings: the ``[lowering]`` table, with one backend.
        exporters: versions of what writes programs, as `export_versions` tells them.
    """

    settings: LoweringSettings
    exporters: Mapping[str, str]

    @property
    def backend(self) -> str:
        """Its name."""
        (name,) = self.settings.backend
        return name

    def context(self, quantization: Quantization | None) -> tuple[str, ...]:
        """All that a program depends on beside the unit itself, as it is quantized."""
        exporters = dict(self.exporters)
        if quantization is None:  # what quantizes others has no part in it
            exporters.pop(BACKENDS[self.backend].quantizer, None)
        precision = quantization.key if quantization else PLAIN
        made = (fingerprint(exporters), precision, f"lowering {LOWERING}")
        return made if quantization is None else (*made, f"quantization {QUANTIZATION}")
