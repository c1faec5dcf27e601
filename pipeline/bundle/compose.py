"""From lowered programs and measured accuracy to the content of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.bundle.control import ControlArm, Controls
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
    from pipeline.lowering.lower import LoweredModel
    from pipeline.lowering.store import LoweredArtifact


@dataclass(frozen=True, slots=True)
class HostResults:
    """What eager PyTorch says about each stage.

    Attributes:
        accuracy: per stage on the whole test set.
        classes: the same class by class.
        predictions: per stage the label of every image of the evaluation set, ``[stages, count]``.
        warnings: what speaks against the model.
    """

    accuracy: Sequence[Accuracy]
    classes: Sequence[ClassScores]
    predictions: npt.NDArray[np.uint16]
    warnings: tuple[ModelWarning, ...]


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
    for unit, program in sorted(lowered.units.items(), key=lambda item: (item[0].index, item[0])):
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
            accuracy=_score(accuracy, classes),
            parity=Deviation(**asdict(stage.parity)),
        )
        for index, (stage, swap, accuracy, classes) in enumerate(
            zip(lowered.stages, swapped, measured.accuracy, measured.classes, strict=True)
        )
    ]
    count = measured.predictions.shape[1]
    images, labels = dataset.test.images[:count], dataset.test.labels[:count]
    inputs = golden.inputs.permute(0, 2, 3, 1).contiguous().numpy()
    first = lowered.units[lowered.stages[0].units[0]]
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
        input=Input(
            shape=first.input.shape,
            layout="NHWC",
            preprocessing=preprocessing,
            normalization=InputNormalization(**asdict(dataset.normalization)),
        ),
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
    manifest: Manifest, controls: Mapping[str, LoweredArtifact], suffix: str
) -> tuple[Controls, dict[str, Content]]:
    """The control arms of a bundle and their files by path."""
    stages = {"student": 0, "teacher": len(manifest.stages) - 1}
    files: dict[str, Content] = {f"{name}{suffix}": arm.path for name, arm in controls.items()}
    arms = tuple(
        ControlArm(
            name=name,
            stage=stages[name],
            path=f"{name}{suffix}",
            bytes=arm.bytes,
            sha256=arm.sha256,
            parity=Deviation(**asdict(arm.parity)),
        )
        for name, arm in sorted(controls.items())
    )
    return Controls(bundle=manifest.id, arms=arms), files


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
