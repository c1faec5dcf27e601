"""Writes the plan that the harness reads: a manifest's content as flat text.

The format is described in android_harness/include/pwl/plan.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import FileEntry, Manifest

#: Folders of a deployment, below the plan's own.
BUNDLE_FOLDER = "bundle"
CONTROL_FOLDER = "control"


def plan_text(
    manifest: Manifest, controls: Controls | None, verify: Literal["size", "sha256"] = "size"
) -> str:
    """The text of a plan.

    Args:
        manifest: of the bundle, deployed to ``bundle/`` below the plan.
        controls: its control arms, deployed to ``control/``, if they are there.
        verify: what the harness checks before it loads a program; ``size`` suits a deployment whose
            every sha256 was checked on the device when it was installed.
    """
    return "\n".join([*_lines(manifest, controls, verify), "end", ""])


def _lines(manifest: Manifest, controls: Controls | None, verify: str) -> Iterator[str]:
    yield "pwl-plan 1"
    yield f"backend {manifest.backend.name}"
    # The plan splits at spaces: a name of one word and its version.
    name, _, exported = manifest.backend.exporter.partition(" ")
    yield f"exporter {name} {exported}"
    yield f"runtime {manifest.backend.minimum_runtime}"
    yield f"threads {manifest.backend.threads}"
    yield f"verify {verify}"
    yield f"input {math.prod(manifest.input.shape)}"
    yield f"classes {len(manifest.model.labels)}"
    for artifact in manifest.artifacts:
        sizes = f"{math.prod(artifact.input.shape)} {math.prod(artifact.output.shape)}"
        yield f"artifact {artifact.id} {_file(BUNDLE_FOLDER, artifact)} {sizes}"
    for stage in manifest.stages:
        yield f"stage {stage.index} {' '.join(stage.units)}"
    for arm in controls.arms if controls else ():
        yield f"control {arm.name} {_file(CONTROL_FOLDER, arm)} {arm.stage}"
    golden = manifest.golden
    paths = " ".join(f"{BUNDLE_FOLDER}/{entry.path}" for entry in (golden.inputs, *golden.outputs))
    yield f"golden {golden.images} {paths}"
    evaluation, normalization = manifest.evaluation, manifest.input.normalization
    yield (
        f"evaluation {evaluation.count} {manifest.input.shape[-1]} "
        f"{BUNDLE_FOLDER}/{evaluation.images.path} {BUNDLE_FOLDER}/{evaluation.labels.path}"
    )
    for mean, std in zip(normalization.mean, normalization.std, strict=True):
        yield f"normalize {mean!r} {std!r}"


def _file(folder: str, entry: FileEntry) -> str:
    return f"{folder}/{entry.path} {entry.bytes} {entry.sha256}"
