"""loading.plan: what the runtime opens, in the app and in the harness alike, as flat text.

The format is described in android_harness/include/pwl/bundle.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.bundle.artifact import Artifact, FileEntry
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
        classes: floats that the last one writes.
        artifacts: the programs, with paths below the bundle.
        stages: in the order in which they are loaded.
    """
    programs = [
        artifact_line(one.id, one, math.prod(one.input.shape), math.prod(one.output.shape))
        for one in artifacts
    ]
    return plan_text(backend, input, classes, programs, [stage.units for stage in stages])


def artifact_line(name: str, file: FileEntry, floats_in: int, floats_out: int) -> str:
    """The line of a program.

    Args:
        name: what stages call it.
        file: where it lies, below the plan's folder.
        floats_in: how many floats it reads.
        floats_out: how many it writes.
    """
    return f"artifact {name} {file.path} {file.bytes} {file.sha256} {floats_in} {floats_out}"


def plan_text(
    backend: BackendInfo,
    input: Input,
    classes: int,
    programs: Sequence[str],
    stages: Sequence[Sequence[str]],
) -> str:
    """The text of a plan of any programs.

    Args:
        backend: what reads them.
        input: what the first program of every stage reads.
        classes: floats that the last one writes.
        programs: their lines, see `artifact_line`.
        stages: their names, in the order of execution.
    """
    return "\n".join([*_lines(backend, input, classes, programs, stages), "end", ""])


def loading_plan_of(manifest: Manifest) -> str:
    """What the loading.plan of a bundle has to say, by its manifest."""
    return loading_plan(
        manifest.backend,
        manifest.input,
        math.prod(manifest.model.answer.shape),
        manifest.artifacts,
        manifest.stages,
    )


def _lines(
    backend: BackendInfo,
    input: Input,
    classes: int,
    programs: Sequence[str],
    stages: Sequence[Sequence[str]],
) -> Iterator[str]:
    yield "pwl-loading-plan 1"
    yield f"backend {backend.name}"
    yield f"runtime {backend.minimum_runtime}"
    yield f"threads {backend.threads}"
    # Older runtimes read plans without these two.
    if backend.favor != "accuracy":
        yield f"favor {backend.favor}"
    if backend.loaders != 1:
        yield f"loaders {backend.loaders}"
    yield f"input {math.prod(input.shape)}"
    yield f"classes {classes}"
    yield from programs
    for index, units in enumerate(stages):
        yield f"stage {index} {' '.join(units)}"
