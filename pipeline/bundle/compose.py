"""From lowered programs and measured accuracy to the content of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.bundle.control import ControlArm, Controls
from pipeline.bundle.loading_plan import LOADING_PLAN, loading_plan
from pipeline.bundle.manifest import (
    Artifact,
    BackendInfo,
    Deviation,
    Edge,
    Evaluation,
    FileEntry,
    Golden,
    Input,
    InputNormalization,
    Manifest,
    ModelInfo,
    Provenance,
    Score,
    Stage,
)
from pipeline.bundle.pack import Content, entry_for
from pipeline.bundle.swaps import swaps

if TYPE_CHECKING:  # the bundle's other modules are read by commands that never import torch
    from pipeline.bundle.schedule import Schedule
    from pipeline.data.images import Dataset
    from pipeline.data.preprocessing import Preprocessing
    from pipeline.evaluation.class_scores import ClassScores
    from pipeline.evaluation.model_warnings import ModelWarning
    from pipeline.evaluation.predictions import Accuracy
    from pipeline.lowering.golden import GoldenSet
    from pipeline.lowering.lower import LoweredArm, LoweredModel
    from pipeline.lowering.store import LoweredArtifact
    from pipeline.model.route import Route


@dataclass(frozen=True, slots=True)
class HostResults:
    """What eager PyTorch says about each stage and each control arm.

    Attributes:
        accuracy: by route on the whole test set.
        classes: the same class by class.
        predictions: per stage the label of every image of the evaluation set, ``[stages, count]``.
        warnings: what speaks against the model.
    """

    accuracy: Mapping[Route, Accuracy]
    classes: Mapping[Route, ClassScores]
    predictions: npt.NDArray[np.uint16]
    warnings: tuple[ModelWarning, ...]

    def score(self, route: Route) -> Score:
        """As a manifest states it."""
        return _score(self.accuracy[route], self.classes[route])


def compose_bundle(
    name: str,
    family: str,
    lowered: LoweredModel,
    golden: GoldenSet,
    measured: HostResults,
    choice: Schedule,
    dataset: Dataset,
    preprocessing: Preprocessing,
    backend: BackendInfo,
    suffix: str,
    provenance: Provenance,
) -> tuple[Manifest, dict[str, Content]]:
    """The manifest of a bundle and its files by path.

    Args:
        name: of the bundle.
        family: of the model.
        lowered: all programs.
        golden: what they were compared with.
        measured: accuracy and predictions; its evaluation set is the head of the test set.
        choice: how the stages were chosen.
        dataset: where images, labels and normalization come from.
        preprocessing: what was done to these images.
        backend: what reads the programs.
        suffix: file name suffix of the programs.
        provenance: what all of it was made from.
    """
    files: dict[str, Content] = {}

    def add(path: str, content: Content) -> FileEntry:
        files[path] = content
        return entry_for(path, content)

    artifacts = []
    for unit in sorted(lowered.artifacts, key=lambda unit: (unit.index, unit)):
        program = lowered.artifacts[unit]
        files[f"units/{unit}{suffix}"] = program.path
        artifacts.append(
            Artifact(
                id=str(unit),
                role=unit.role.value,
                block=unit.index,
                path=f"units/{unit}{suffix}",
                bytes=program.bytes,
                sha256=program.sha256,
                parameters=lowered.parameters[unit],
                operators=dict(program.operators),
                delegated=program.delegated,
                input=_edge(program, "input"),
                output=_edge(program, "output"),
                parity=Deviation(**asdict(program.parity)),
            )
        )
    sizes = {artifact.id: artifact.bytes for artifact in artifacts}
    swapped = swaps([[str(unit) for unit in stage.units] for stage in lowered.stages])
    stages = [
        Stage(
            index=index,
            route=str(stage.route),
            units=swap.units,
            loads=swap.loads,
            unloads=swap.unloads,
            load_bytes=sum(sizes[unit] for unit in swap.loads),
            accuracy=measured.score(stage.route),
            parity=Deviation(**asdict(stage.parity)),
        )
        for index, (stage, swap) in enumerate(zip(lowered.stages, swapped, strict=True))
    ]
    count = measured.predictions.shape[1]
    images, labels = dataset.test.images[:count], dataset.test.labels[:count]
    inputs = golden.inputs.permute(0, 2, 3, 1).contiguous().numpy()
    first = lowered.artifacts[lowered.stages[0].units[0]]
    read = Input(
        shape=first.input.shape,
        layout="NHWC",
        preprocessing=preprocessing,
        normalization=InputNormalization(**asdict(dataset.normalization)),
    )
    plan = loading_plan(backend, read, len(dataset.names), artifacts, stages)
    manifest = Manifest.seal(
        name=name,
        model=ModelInfo(
            family=family,
            blocks=len(lowered.stages[0].route),
            labels=dataset.names,
            teacher_parameters=_parameters(lowered, "teacher"),
            student_parameters=_parameters(lowered, "student"),
        ),
        backend=backend,
        input=read,
        loading_plan=add(LOADING_PLAN, plan.encode()),
        artifacts=tuple(artifacts),
        stages=tuple(stages),
        schedule=choice,
        golden=Golden(
            images=len(golden),
            inputs=add("golden/inputs.f32", inputs.astype("<f4").tobytes()),
            outputs=tuple(
                add(f"golden/stage-{index}.f32", logits.numpy().astype("<f4").tobytes())
                for index, logits in enumerate(golden.logits.values())
            ),
            tolerance=golden.tolerance,
        ),
        evaluation=Evaluation(
            count=count,
            images=add("eval/images.u8", np.ascontiguousarray(images).tobytes()),
            labels=add("eval/labels.u16", labels.astype("<u2").tobytes()),
            predictions=add("eval/predictions.u16", measured.predictions.astype("<u2").tobytes()),
            correct=tuple(int(row.sum()) for row in measured.predictions == labels),
        ),
        warnings=measured.warnings,
        provenance=provenance,
    )
    return manifest, files


def compose_controls(
    manifest: Manifest, arms: Sequence[LoweredArm], measured: HostResults, suffix: str
) -> tuple[Controls, dict[str, Content]]:
    """The control arms of a bundle and their files by path."""
    files: dict[str, Content] = {}

    def add(path: str, content: Content) -> FileEntry:
        files[path] = content
        return entry_for(path, content)

    described = tuple(
        ControlArm(
            name=arm.spec.name,
            route=str(arm.spec.route),
            precision=arm.spec.precision,
            program=add(f"{arm.spec.name}{suffix}", arm.artifact.path),
            golden=add(f"golden/{arm.spec.name}.f32", arm.logits.numpy().astype("<f4").tobytes()),
            parity=Deviation(**asdict(arm.artifact.parity)),
            accuracy=measured.score(arm.spec.route),
        )
        for arm in arms
    )
    return Controls(bundle=manifest.id, arms=described), files


def _edge(program: LoweredArtifact, which: str) -> Edge:
    spec = program.input if which == "input" else program.output
    return Edge.model_validate(asdict(spec))


def _score(accuracy: Accuracy, classes: ClassScores) -> Score:
    return Score(
        correct=accuracy.correct,
        images=accuracy.images,
        top1=round(accuracy.top1, 6),
        low=round(accuracy.low, 6),
        high=round(accuracy.high, 6),
        balanced=round(classes.balanced, 6),
        recall=tuple(None if share is None else round(share, 6) for share in classes.recall),
    )


def _parameters(lowered: LoweredModel, role: str) -> int:
    return sum(count for unit, count in lowered.parameters.items() if unit.role.value == role)
