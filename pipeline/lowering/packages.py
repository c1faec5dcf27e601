"""The Python packages whose versions decide what a backend writes. Read without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import versions
from pipeline.settings import BACKENDS, Settings, SourceModel


def export_versions(settings: Settings) -> dict[str, str]:
    """The versions of what turns the model of a profile (with one backend) into programs.

    The first is the exporter, the others what it works with.

    Raises:
        UsageError: it needs TensorFlow, which is not installed.
    """
    if isinstance(settings.model, SourceModel) and settings.model.kind == "keras":
        return _tensorflow() | versions("keras", "ai-edge-litert")
    (backend,) = settings.lowering.backend
    return versions(*BACKENDS[backend].packages)


def _tensorflow() -> dict[str, str]:
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            return versions(name)
        except PackageNotFoundError:
            continue
    raise UsageError(
        "tensorflow is not installed, which Keras models need",
        "pip install '.[tensorflow]' (1.3 GB)",
    )
