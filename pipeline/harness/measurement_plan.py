"""The measurement plan: what the harness measures beside a bundle, as flat text.

The format is described in android_harness/harness/measurement_plan.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.bundle.artifact import FileEntry
from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import Manifest
from pipeline.harness.chain_arm import ChainArm, chain_arm

MEASUREMENT_PLAN = "measurement.plan"
#: Folders of a deployment, below the plan's own.
BUNDLE_FOLDER = "bundle"
CONTROL_FOLDER = "control"


def measurement_plan(
    manifest: Manifest, controls: Controls | None, folder: str = BUNDLE_FOLDER
) -> str:
    """The text of a measurement plan.

    Args:
        manifest: of the bundle, deployed to ``bundle/`` below the plan.
        controls: its control arms, deployed to ``control/``, if they are measured.
        folder: of the loading.plan that is measured, below the plan.
    """
    return "\n".join([*_lines(manifest, controls, folder), "end", ""])


def _program(name: str, folder: str, file: FileEntry, floats: int, answer: int) -> str:
    """The line of a program that reads and writes so many floats."""
    return f"program {name} {folder}/{file.path} {file.bytes} {file.sha256} {floats} {answer}"


def _of_chain(chain: ChainArm) -> Iterator[str]:
    """Its programs, by names that no control arm can have, and the arm."""
    for unit in chain.programs:
        floats, answer = math.prod(unit.input.shape), math.prod(unit.output.shape)
        yield _program(f"{chain.name}.{unit.id}", BUNDLE_FOLDER, unit, floats, answer)
    names = " ".join(f"{chain.name}.{unit.id}" for unit in chain.programs)
    yield f"chain {chain.name} {names}"


def _lines(manifest: Manifest, controls: Controls | None, folder: str) -> Iterator[str]:
    yield "pwl-measurement-plan 1"
    yield f"bundle {folder}"
    # Every sha256 was checked on the device when it was installed.
    yield "verify size"
    floats, answer = (math.prod(e.shape) for e in (manifest.input, manifest.model.answer))
    for arm in controls.arms if controls else ():
        yield _program(arm.name, CONTROL_FOLDER, arm.program, floats, answer)
        yield f"arm {arm.name} {arm.name}"
    if controls and (chain := chain_arm(manifest, controls)) is not None:
        yield from _of_chain(chain)
    golden, evaluation = manifest.golden, manifest.evaluation
    yield f"golden {golden.images} {BUNDLE_FOLDER}/{golden.inputs.path}"
    if (normalization := manifest.input.normalization) is None or manifest.input.kind != "image":
        yield f"evaluation-inputs {evaluation.count} {BUNDLE_FOLDER}/{evaluation.images.path}"
    else:
        yield (
            f"evaluation {evaluation.count} {manifest.input.shape[-1]} "
            f"{BUNDLE_FOLDER}/{evaluation.images.path}"
        )
        for mean, std in zip(normalization.mean, normalization.std, strict=True):
            yield f"normalize {mean!r} {std!r}"
    if (output := manifest.model.output) is not None:
        labels = f"{BUNDLE_FOLDER}/{evaluation.labels.path}"
        if output.kind == "embedding":
            yield f"embeddings {labels}"
            return
        given = f"{BUNDLE_FOLDER}/{evaluation.predictions.path}"
        yield f"label-maps {output.edge.shape[-1]} {labels} {given}"
