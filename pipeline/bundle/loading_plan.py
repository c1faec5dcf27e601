"""loading.plan: what the runtime opens, in the app and in the harness alike, as flat text.

The format is described in android_harness/include/pwl/bundle.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.bundle.artifact import Artifact
    from pipeline.bundle.manifest import BackendInfo, Input, Manifest, Stage

LOADING_PLAN = "loading.plan"


def loading_plan(
    backend: BackendInfo,
    input: Input,
    classes: int,
    artifacts: Sequence[Artifact],
    stages: Sequence[Stage],
) -> str:
    """The text of loading.plan.

    Args:
        backend: what reads the programs.
        input: what the first program of every stage reads.
        classes: logits that the last one writes.
        artifacts: the programs, with paths below the bundle.
        stages: in the order in which they are loaded.
    """
    return "\n".join([*_lines(backend, input, classes, artifacts, stages), "end", ""])


def loading_plan_of(manifest: Manifest) -> str:
    """What the loading.plan of a bundle has to say, by its manifest."""
    return loading_plan(
        manifest.backend,
        manifest.input,
        len(manifest.model.labels),
        manifest.artifacts,
        manifest.stages,
    )


def _lines(
    backend: BackendInfo,
    input: Input,
    classes: int,
    artifacts: Sequence[Artifact],
    stages: Sequence[Stage],
) -> Iterator[str]:
    yield "pwl-loading-plan 1"
    yield f"backend {backend.name}"
    yield f"runtime {backend.minimum_runtime}"
    yield f"threads {backend.threads}"
    yield f"input {math.prod(input.shape)}"
    yield f"classes {classes}"
    for artifact in artifacts:
        file = f"{artifact.path} {artifact.bytes} {artifact.sha256}"
        floats = f"{math.prod(artifact.input.shape)} {math.prod(artifact.output.shape)}"
        yield f"artifact {artifact.id} {file} {floats}"
    for stage in stages:
        yield f"stage {stage.index} {' '.join(stage.units)}"
