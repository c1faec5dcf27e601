"""The Python packages whose versions decide what a backend writes. Read without importing them."""

from __future__ import annotations

from collections.abc import Mapping

#: By the name of the backend.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "executorch": ("executorch",),
    "litert": ("litert-torch", "litert-converter", "ai-edge-litert"),
}
