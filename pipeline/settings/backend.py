"""The backends: what a mobile runtime is called, what writes its programs, and what runs them.

A new backend is a folder in pipeline/lowering, an engine in android_harness/src/engines, and a line
in a table on either side: `BACKENDS` here, ``kEngines`` in make_engine.cc there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """What is known of a backend without importing anything of it.

    Attributes:
        name: as in ``[lowering] backend``, and as the harness knows its engine.
        suffix: file name suffix of its programs, with the dot.
        exporter: where the class lies that writes them, ``module:Class``; see
            `pipeline.lowering.backend.Backend`.
        packages: Python distributions whose versions decide what is written, the exporter first.
        library: of the runtime, where it is loaded while a program runs; None where it is linked.
    """

    name: str
    suffix: str
    exporter: str
    packages: tuple[str, ...]
    library: str | None = None


def _by_name(*specs: BackendSpec) -> dict[str, BackendSpec]:
    return {spec.name: spec for spec in specs}


#: In the order in which they are named to people.
BACKENDS: Mapping[str, BackendSpec] = _by_name(
    BackendSpec(
        name="executorch",
        suffix=".pte",
        exporter="pipeline.lowering.executorch.backend:ExecuTorch",
        packages=("executorch",),
    ),
    BackendSpec(
        name="litert",
        suffix=".tflite",
        exporter="pipeline.lowering.litert.backend:LiteRt",
        packages=("litert-torch", "litert-converter", "ai-edge-litert"),
        library="libLiteRt.so",
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
