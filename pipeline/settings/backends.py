"""The backends: what a mobile runtime is called, what writes its programs, and what runs them.

A new backend is a folder in pipeline/lowering, an engine in android_harness/src/engines, and a line
in a table on either side: `BACKENDS` here, ``kEngines`` in make_engine.cc there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from pipeline.settings.precision_settings import QuantizationRecipe


@dataclass(frozen=True, slots=True)
class RuntimeLibrary:
    """The inference library that runs a backend's programs, as a Python package brings it.

    Attributes:
        package: Python distribution that it is in; its version is the library's.
        folder: of its files, where that is installed or unpacked: CMake looks for a package there.
        opened: the file in it that the harness opens while it runs; None where it is linked.
    """

    package: str
    folder: str
    opened: str | None = None


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """What is known of a backend without importing anything of it.

    Attributes:
        name: as in ``[lowering] backend``, and as the harness knows its engine.
        suffix: file name suffix of its programs, with the dot.
        exporter: where the class lies that writes them, ``module:Class``; see
            `pipeline.lowering.backend.Backend`.
        packages: Python distributions whose versions decide what is written, the exporter first.
        runtime: what the harness runs its programs with.
        quantizer: the distribution that quantizes them; empty where none does.
        recipes: how it can quantize; where ``int8`` leaves a choice, the first is for convolutions,
            the last for linear layers. Empty where it writes float32 alone.
    """

    name: str
    suffix: str
    exporter: str
    packages: tuple[str, ...]
    runtime: RuntimeLibrary
    quantizer: str = ""
    recipes: tuple[QuantizationRecipe, ...] = ()


def _by_name(*specs: BackendSpec) -> dict[str, BackendSpec]:
    return {spec.name: spec for spec in specs}


#: In the order in which they are named to people.
BACKENDS: Mapping[str, BackendSpec] = _by_name(
    BackendSpec(
        name="executorch",
        suffix=".pte",
        exporter="pipeline.lowering.executorch.backend:ExecuTorch",
        packages=("executorch",),
        runtime=RuntimeLibrary("executorch", "executorch"),
        quantizer="torchao",
        recipes=("static_wi8_ai8", "dynamic_wi8_afp32"),
    ),
    BackendSpec(
        name="litert",
        suffix=".tflite",
        exporter="pipeline.lowering.litert.backend:LiteRt",
        packages=("litert-torch", "litert-converter", "ai-edge-litert"),
        runtime=RuntimeLibrary("ai-edge-litert", "ai_edge_litert", opened="libLiteRt.so"),
        quantizer="ai-edge-quantizer",
        recipes=("dynamic_wi8_afp32",),
    ),
)


def _known(name: str) -> str:
    if name not in BACKENDS:
        raise ValueError(f"no backend is called {name!r}: name one of {', '.join(BACKENDS)}")
    return name


#: The name of one of `BACKENDS`.
BackendName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": [*BACKENDS]})
]
