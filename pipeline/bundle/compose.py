"""From lowered programs and measured accuracy to the content of a bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.bundle.artifact import Artifact, Deviation, Edge, FileEntry
from pipeline.bundle.control import ControlArm, Controls
from pipeline.bundle.loading_plan import LOADING_PLAN, loading_plan
from pipeline.bundle.manifest import (
    BackendInfo,
    Evaluation,
    Golden,
    Input,
    InputNormalization,
    Manifest,
    ModelInfo,
    Provenance,
    Stage,
)
from pipeline.bundle.output import Output
from pipeline.bundle.pack import FileContent, entry_for
from pipeline.bundle.swaps import swaps
from pipeline.settings import BACKENDS, PLAIN, chain_precision

if TYPE_CHECKING:  # the bundle's other modules are read by commands that never import torch
    from torch import Tensor

    from pipeline.bundle.schedule import Schedule
    from pipeline.bundle.stated_score import Score
    from pipeline.data.images import Dataset
    from pipeline.data.label_maps import Labels
    from pipeline.data.preprocessing import Preprocessing
    from pipeline.evaluation.model_warnings import ModelWarning
    from pipeline.evaluation.parity import Parity
    from pipeline.lowering.golden import GoldenSet
    from pipeline.lowering.lower import LoweredModel
    from pipeline.lowering.store import LoweredArtifact
    from pipeline.model.route import Route


@dataclass(frozen=True, slots=True)
class HostResults:
    """What each stage and each control arm says, on this machine.

    Attributes:
        stages: accuracy on the whole test set, by route.
        arms: the same by name.
        predictions: per stage the label of every image of the evaluation set, ``[stages, count]``,
            or of every pixel, ``[stages, count, height, width]``.
        warnings: what speaks against the model.
    """

    stages: Mapping[Route, Score]
    arms: Mapping[str, Score]
    predictions: Labels
    warnings: tuple[ModelWarning, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """All that a bundle and its control arms are made of.

    Attributes:
        name: of the bundle.
        family: of the model.
        lowered: all programs.
        golden: what they were compared with.
        results: accuracy and predictions; the evaluation set is the head of the test set.
        schedule: how the stages were chosen.
        dataset: where images, labels and normalization come from.
        preprocessing: what was done to these images; None where they are other tensors.
        backend: what reads the programs.
        provenance: what all of it was made from.
    """

    name: str
    family: str
    lowered: LoweredModel
    golden: GoldenSet
    results: HostResults
    schedule: Schedule
    dataset: Dataset
    preprocessing: Preprocessing | None
    backend: BackendInfo
    provenance: Provenance

    @property
    def suffix(self) -> str:
        """File name suffix of the programs."""
        return BACKENDS[self.backend.name].suffix


#: File name suffixes of arrays, by what NumPy calls their type.
_SUFFIXES = {"u1": "u8", "<u2": "u16", "<f4": "f32"}


class _Files:
    """Contents by path, each described as it is added."""

    def __init__(self) -> None:
        self.contents: dict[str, FileContent] = {}

    def add(self, path: str, content: FileContent) -> FileEntry:
        self.contents[path] = content
        return entry_for(path, content)

    def add_array(self, path: str, values: npt.NDArray[Any], kind: str) -> FileEntry:
        """An array as its bytes lie in memory; `kind` is a NumPy type, such as ``<f4``."""
        return self.add(path, np.ascontiguousarray(values.astype(kind)).tobytes())


def compose_bundle(parts: Composition) -> tuple[Manifest, dict[str, FileContent]]:
    """The manifest of a bundle and its files by path."""
    files = _Files()
    lowered, model = parts.lowered, _model(parts)
    artifacts = _artifacts(parts, files)
    stages = _stages(parts, artifacts)
    read = _input(parts, _edge(lowered.artifacts[lowered.stages[0].units[0]], "input"))
    floats = math.prod(model.answer.shape)
    plan = loading_plan(parts.backend, read, floats, artifacts, stages)
    manifest = Manifest.seal(
        name=parts.name,
        model=model,
        backend=parts.backend,
        input=read,
        loading_plan=files.add(LOADING_PLAN, plan.encode()),
        artifacts=tuple(artifacts),
        stages=tuple(stages),
        schedule=parts.schedule,
        golden=_golden(parts.golden, files),
        evaluation=_evaluation(parts, model, files),
        warnings=parts.results.warnings,
        provenance=parts.provenance,
    )
    return manifest, files.contents


def _model(parts: Composition) -> ModelInfo:
    lowered = parts.lowered
    stage = lowered.stages[0]
    answer = _edge(lowered.artifacts[stage.units[-1]], "output")
    return ModelInfo(
        family=parts.family,
        blocks=len(stage.route),
        labels=parts.dataset.names,
        teacher_parameters=_parameters(lowered, "teacher"),
        student_parameters=_parameters(lowered, "student"),
        output=_output(parts.dataset, answer),
    )


def _output(dataset: Dataset, answer: Edge) -> Output | None:
    if dataset.embeds:
        return Output(kind="embedding", edge=answer, metric="cosine")
    return Output(edge=answer) if dataset.map_size else None


def compose_controls(
    manifest: Manifest, parts: Composition
) -> tuple[Controls, dict[str, FileContent]]:
    """The control arms of a bundle and their files by path."""
    files = _Files()
    arms = tuple(
        ControlArm(
            name=arm.spec.name,
            route=str(arm.spec.route),
            precision=arm.artifact.precision,
            program=files.add(f"{arm.spec.name}{parts.suffix}", arm.artifact.path),
            golden=files.add_array(f"golden/{arm.spec.name}.f32", _as_read(arm.logits), "<f4"),
            parity=_deviation(arm.artifact.parity, arm.artifact.precision),
            accuracy=parts.results.arms[arm.spec.name],
        )
        for arm in parts.lowered.arms
    )
    return Controls(bundle=manifest.id, arms=arms), files.contents


def _input(parts: Composition, edge: Edge) -> Input:
    """What the first program reads, the same for every stage."""
    rule = parts.dataset.normalization
    return Input(
        shape=edge.shape,
        layout=edge.layout,
        kind=parts.dataset.kind,
        vocabulary=parts.dataset.vocabulary,
        preprocessing=parts.preprocessing,
        normalization=InputNormalization(**asdict(rule)) if rule.mean else None,
    )


def _artifacts(parts: Composition, files: _Files) -> list[Artifact]:
    """The programs of all units, by their place in the network."""
    found: list[Artifact] = []
    for unit in sorted(parts.lowered.artifacts, key=lambda unit: (unit.index, unit)):
        program = parts.lowered.artifacts[unit]
        path = f"units/{unit}{parts.suffix}"
        files.contents[path] = program.path  # described when it was lowered
        found.append(
            Artifact(
                id=str(unit),
                role=unit.role.value,
                block=unit.index,
                path=path,
                bytes=program.bytes,
                sha256=program.sha256,
                parameters=parts.lowered.parameters[unit],
                operators=dict(program.operators),
                delegated=program.delegated,
                input=_edge(program, "input"),
                output=_edge(program, "output"),
                parity=_deviation(program.parity, program.precision),
                precision=program.precision,
            )
        )
    return found


def _stages(parts: Composition, artifacts: Sequence[Artifact]) -> list[Stage]:
    known = {artifact.id: artifact for artifact in artifacts}
    swapped = swaps([[str(unit) for unit in stage.units] for stage in parts.lowered.stages])
    return [
        Stage(
            index=index,
            route=str(stage.route),
            units=swap.units,
            loads=swap.loads,
            unloads=swap.unloads,
            load_bytes=sum(known[unit].bytes for unit in swap.loads),
            accuracy=parts.results.stages[stage.route],
            parity=_deviation(
                stage.parity, chain_precision(known[unit].precision for unit in swap.units)
            ),
        )
        for index, (stage, swap) in enumerate(zip(parts.lowered.stages, swapped, strict=True))
    ]


def _golden(golden: GoldenSet, files: _Files) -> Golden:
    return Golden(
        images=len(golden),
        inputs=files.add_array("golden/inputs.f32", _as_read(golden.inputs), "<f4"),
        outputs=tuple(
            files.add_array(f"golden/stage-{index}.f32", _as_read(logits), "<f4")
            for index, logits in enumerate(golden.logits.values())
        ),
        tolerance=golden.tolerance,
        least_sqnr_db=golden.least_sqnr_db,
    )


def _evaluation(parts: Composition, model: ModelInfo, files: _Files) -> Evaluation:
    predictions, test = parts.results.predictions, parts.dataset.test
    count = predictions.shape[1]
    labels = test.labels[:count]
    kind = model.label_type
    suffix = _SUFFIXES[kind]
    if parts.dataset.tensors:
        inputs = _as_read(parts.dataset.normalization.apply(test.images[:count]))
        images = files.add_array("eval/inputs.f32", inputs, "<f4")
    else:
        images = files.add_array("eval/images.u8", test.images[:count], "u1")
    return Evaluation(
        count=count,
        images=images,
        labels=files.add_array(f"eval/labels.{suffix}", labels, kind),
        predictions=files.add_array(f"eval/predictions.{suffix}", predictions, kind),
        correct=()
        if parts.dataset.embeds
        else tuple(int(row.sum()) for row in predictions == labels),
    )


def _as_read(inputs: Tensor) -> npt.NDArray[Any]:
    """Model inputs, or answers, in the memory order of the programs' edges."""
    return (inputs.permute(0, 2, 3, 1) if inputs.dim() == 4 else inputs).numpy()


def _edge(program: LoweredArtifact, which: str) -> Edge:
    spec = program.input if which == "input" else program.output
    return Edge.model_validate(asdict(spec))


def _deviation(parity: Parity, precision: str) -> Deviation:
    """Of programs that compute in float32 the largest difference says all."""
    found = asdict(parity)
    return Deviation(**found | ({"sqnr_db": None} if precision == PLAIN else {}))


def _parameters(lowered: LoweredModel, role: str) -> int:
    return sum(count for unit, count in lowered.parameters.items() if unit.role.value == role)
