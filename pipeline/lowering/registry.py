"""The backends by name."""

from __future__ import annotations

from pipeline.lowering.backend import Backend
from pipeline.lowering.executorch import ExecuTorch
from pipeline.settings import LoweringSettings


def backend_for(settings: LoweringSettings) -> Backend:
    """The backend that a profile names; its libraries are imported when it is first used."""
    return _BACKENDS[settings.backend]()


_BACKENDS: dict[str, type[Backend]] = {"executorch": ExecuTorch}
