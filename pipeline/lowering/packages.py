"""The Python packages whose versions decide what a backend writes. Read without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import versions
from pipeline.settings import BackendSpec


def export_versions(
    backend: BackendSpec, *, keras: bool, quantized: bool = False
) -> dict[str, str]:
    """The versions of what turns a model into programs of a backend.

    The first is the exporter, the others what it works with.

    Args:
        backend: whose programs they are.
        keras: whether the model's units are Keras models, which TensorFlow converts.
        quantized: whether some programs do not compute in float32.

    Raises:
        UsageError: it needs TensorFlow, which is not installed.
    """
    if keras:
        return _tensorflow() | versions("keras", "ai-edge-litert")
    quantizers = [backend.quantizer] if quantized and backend.quantizer else []
    return versions(*backend.packages, *quantizers)


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
