"""The exporters of the backends; each module is imported when its backend is first asked for."""

from __future__ import annotations

from importlib import import_module

from pipeline.lowering.backend import Backend
from pipeline.settings import BACKENDS, LoweringSettings


def backend_for(settings: LoweringSettings) -> Backend:
    """The backend that settings name, one and no more."""
    (name,) = settings.backend
    module, _, exporter = BACKENDS[name].exporter.partition(":")
    backend: Backend = getattr(import_module(module), exporter)()
    return backend
