"""The backends by name."""

from __future__ import annotations

from pipeline.lowering.backend import Backend
from pipeline.lowering.executorch.backend import ExecuTorch
from pipeline.lowering.litert.backend import LiteRt
from pipeline.settings import LoweringSettings


def backend_for(settings: LoweringSettings) -> Backend:
    """The backend that settings name, one and no more; its libraries are imported at first use."""
    (name,) = settings.backend
    return _BACKENDS[name]()


_BACKENDS: dict[str, type[Backend]] = {"executorch": ExecuTorch, "litert": LiteRt}
