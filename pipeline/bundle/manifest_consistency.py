"""What a manifest says twice, or what follows from something else in it, has to agree.

No number of a manifest is believed that could be compared: a device would refuse, or worse, not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.bundle.score_consistency import ROUNDING, score_contradictions
from pipeline.bundle.swaps import swaps
from pipeline.settings import (
    PLAIN,
    PROGRESSIVE,
    PrecisionSettings,
    allowed_precisions,
    chain_precision,
)

if TYPE_CHECKING:
    from pipeline.bundle.artifact import Artifact, Deviation, Edge, FileEntry
    from pipeline.bundle.control import Controls
    from pipeline.bundle.manifest import Manifest

#: Bytes of what golden and evaluation files are arrays of.
_FLOAT, _PIXEL = 4, 1
_DIMENSIONS = {"NHWC": [4], "NTC": [3], "NC": [2], "ND": range(5, 65)}
_LETTERS = {"student": "S", "teacher": "T", "teacher-int8": "t"}


def manifest_contradictions(manifest: Manifest) -> Iterator[str]:
    """Everything in a manifest that does not agree with the rest of it, a line each."""
    yield from _twice("path", (entry.path for entry in manifest.files()))
    yield from _twice("artifact id", (artifact.id for artifact in manifest.artifacts))
    yield from _twice("route", (stage.route for stage in manifest.stages))
    yield from _sizes(manifest)
    yield from _edges(manifest)
    yield from _model(manifest)
    yield from _schedule(manifest)
    yield from _precisions(manifest)
    for artifact in manifest.artifacts:
        yield from _parity(artifact.id, artifact.parity, manifest, artifact.precision)
        if artifact.delegated > sum(artifact.operators.values()):
            yield f"{artifact.id}: more operators are delegated than there are"
    yield from _stages(manifest)


def control_contradictions(controls: Controls, bundle: Manifest) -> Iterator[str]:
    """Everything in control.json that does not agree with its bundle, a line each."""
    yield from _twice("path", (entry.path for entry in controls.files()))
    yield from _twice("arm", (arm.name for arm in controls.arms))
    logits = bundle.golden.images * math.prod(bundle.model.answer.shape) * _FLOAT
    for arm in controls.arms:
        title = f"arm {arm.name}"
        if len(arm.route) != bundle.model.blocks:
            yield f"{title}: route {arm.route} has not {bundle.model.blocks} blocks"
        if arm.golden.bytes != logits:
            yield f"{arm.golden.path}: {arm.golden.bytes} bytes, but its logits are {logits}"
        if arm.name == PROGRESSIVE:
            yield f"an arm is called {PROGRESSIVE}, as the bundle itself"
        yield from _parity(title, arm.parity, bundle, arm.precision)
        yield from score_contradictions(title, arm.accuracy, bundle)


def _twice(kind: str, values: Iterable[str]) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            yield f"{kind} {value!r} occurs twice"


def _sizes(manifest: Manifest) -> Iterator[str]:
    """The sizes of golden and evaluation files, by what they are arrays of."""
    golden, evaluation = manifest.golden, manifest.evaluation
    stages, answer = len(manifest.stages), manifest.model.answer.shape[1:]
    image, labels = manifest.input.shape[1:], (evaluation.count, *manifest.model.label_shape)
    label = int(manifest.model.label_type[-1])
    pixel = _PIXEL if manifest.input.kind == "image" else _FLOAT
    expected: list[tuple[FileEntry, tuple[int, ...], int]] = [
        (golden.inputs, (golden.images, *image), _FLOAT),
        *((entry, (golden.images, *answer), _FLOAT) for entry in golden.outputs),
        (evaluation.images, (evaluation.count, *image), pixel),
        (evaluation.labels, labels, label),
        (evaluation.predictions, (stages, *labels), label),
    ]
    for entry, shape, width in expected:
        if entry.bytes != math.prod(shape) * width:
            sizes = " x ".join(map(str, shape))
            yield (
                f"{entry.path}: {entry.bytes} bytes, but {sizes} values of {width} bytes are "
                f"{math.prod(shape) * width}"
            )
    if len(golden.outputs) != stages:
        yield f"{stages} stages, but {len(golden.outputs)} golden outputs"
    if len(evaluation.correct) != (stages if manifest.model.judged_by != "embedding" else 0):
        yield f"{stages} stages, but {len(evaluation.correct)} counts of correct predictions"
    for position, correct in enumerate(evaluation.correct):
        if correct > math.prod(labels):
            yield f"stage {position}: {correct} of {math.prod(labels)} evaluation images correct"


def _edges(manifest: Manifest) -> Iterator[str]:
    """The edges of the programs by themselves, and the normalization of the first one's images."""
    edges: list[tuple[str, Edge]] = [("input", manifest.input)]
    for artifact in manifest.artifacts:
        edges += [
            (f"{artifact.id} input", artifact.input),
            (f"{artifact.id} output", artifact.output),
        ]
    for name, edge in edges:
        if len(edge.shape) not in _DIMENSIONS[edge.layout] or edge.shape[0] != 1:
            yield f"{name}: {edge.layout} of one item cannot have the shape {list(edge.shape)}"
    if (normalization := manifest.input.normalization) is None:
        return
    channels = manifest.input.shape[-1 if manifest.input.layout == "NHWC" else 1]
    counts = [channels] if manifest.input.kind == "image" else [channels, 1]
    for name, values in (("mean", normalization.mean), ("std", normalization.std)):
        if len(values) not in counts:
            yield f"input: {channels} channels, but {len(values)} values of {name}"


def _model(manifest: Manifest) -> Iterator[str]:
    for role, stated in (
        ("teacher", manifest.model.teacher_parameters),
        ("student", manifest.model.student_parameters),
    ):
        found = sum(a.parameters for a in manifest.artifacts if a.role == role)
        if found != stated:
            yield f"the {role} has {stated} parameters, but its artifacts have {found}"
    used = {name for stage in manifest.stages for name in stage.units}
    for artifact in manifest.artifacts:
        if artifact.id not in used:
            yield f"no stage uses {artifact.id}"
        if artifact.block >= manifest.model.blocks:
            yield f"{artifact.id}: there is no block {artifact.block}"


def _schedule(manifest: Manifest) -> Iterator[str]:
    choice = manifest.schedule
    chosen = [step.route for step in choice.steps if step.shipped]
    if chosen != [stage.route for stage in manifest.stages[1:]]:
        yield f"the schedule chose {' '.join(chosen)}, but other stages are there"
    candidates = {candidate.order: candidate for candidate in choice.candidates}
    if choice.order not in candidates:
        yield f"the schedule chose {choice.order}, which is none of its candidates"
    elif candidates[choice.order].stages != len(manifest.stages):
        yield f"the schedule speaks of {candidates[choice.order].stages} stages"
    for step in choice.steps:
        if not step.low <= step.gain <= step.high:
            yield f"schedule, {step.route}: a gain outside of its interval"


def _precisions(manifest: Manifest) -> Iterator[str]:
    """What programs compute with, by what is said of the networks, and the plan that was taken."""
    precision = manifest.backend.precision
    for artifact in manifest.artifacts:
        allowed = allowed_precisions(precision, artifact.role)
        if artifact.precision not in allowed:
            yield f"{artifact.id}: {artifact.precision}, but the networks are {precision}"
    if (choice := manifest.schedule.precision) is None:
        return
    if str(PrecisionSettings().planned(choice.taken)) != precision:
        yield f"the plan {choice.taken} was taken, but the networks are {precision}"
    if (student := choice.int8) is not None:
        gain = student.top1 - choice.fp32_top1
        if not student.low - 2 * ROUNDING <= gain <= student.high + 2 * ROUNDING:
            yield "the plan was taken by a difference outside of its interval"


def _parity(name: str, parity: Deviation, manifest: Manifest, precision: str) -> Iterator[str]:
    golden = manifest.golden
    if parity.inputs != golden.images:
        yield f"{name}: compared on {parity.inputs} inputs of {golden.images}"
    if precision != PLAIN:
        if parity.sqnr_db is None or golden.least_sqnr_db is None:
            yield f"{name}: {precision}, but nothing says how far it may be from eager PyTorch"
        elif parity.sqnr_db < golden.least_sqnr_db:
            yield f"{name}: {parity.sqnr_db:g} dB, less than {golden.least_sqnr_db:g}"
    elif parity.max_rel > golden.tolerance:
        yield f"{name}: deviates by {parity.max_rel:g}, more than {golden.tolerance:g}"


def _stages(manifest: Manifest) -> Iterator[str]:
    if not manifest.stages:
        yield "no stages"
    known = {artifact.id: artifact for artifact in manifest.artifacts}
    for position, stage in enumerate(manifest.stages):
        title = f"stage {position}"
        if stage.index != position:
            yield f"{title} calls itself {stage.index}"
        if len(stage.route) != manifest.model.blocks:
            yield f"{title}: route {stage.route} has not {manifest.model.blocks} blocks"
        if unknown := [name for name in stage.units if name not in known]:
            yield f"{title} uses {', '.join(unknown)}, which no artifact is called"
            return
        chain = [known[name] for name in stage.units]
        yield from _flow(title, chain, manifest)
        if _route_of(chain) != stage.route:
            yield f"{title}: its units are not those of route {stage.route}, in order"
        yield from score_contradictions(title, stage.accuracy, manifest)
        precision = chain_precision(unit.precision for unit in chain)
        yield from _parity(title, stage.parity, manifest, precision)
    yield from _loading(manifest, known)


def _flow(title: str, chain: list[Artifact], manifest: Manifest) -> Iterator[str]:
    """Whether each program reads what the one before it writes."""
    flow: Edge = manifest.input
    for artifact in chain:
        read = artifact.input
        if (read.shape, read.layout) != (flow.shape, flow.layout):
            yield (
                f"{title}: {artifact.id} reads {read.layout} {read.shape} but is given "
                f"{flow.layout} {flow.shape}"
            )
        flow = artifact.output
    if flow != manifest.model.answer:
        each = "a logit per label" if manifest.model.output is None else "the model's output"
        yield f"{title} ends with {flow.layout} {flow.shape}, not with {each}"


def _route_of(chain: list[Artifact]) -> str | None:
    """The route that a chain of programs is; None if it is none."""
    route = ""
    before: Artifact | None = None
    for artifact in chain:
        if artifact.role in _LETTERS:
            if artifact.block != len(route):
                return None
            route += _LETTERS[artifact.role]
        elif before is None or (before.role, artifact.role, before.block) not in (
            ("teacher", "encoder", artifact.block),
            ("teacher-int8", "encoder", artifact.block),
            ("student", "decoder", artifact.block),
        ):
            return None
        before = artifact
    return route


def _loading(manifest: Manifest, known: dict[str, Artifact]) -> Iterator[str]:
    """What each stage loads and lets go, and how many bytes that is."""
    found = swaps([stage.units for stage in manifest.stages])
    for stage, swap in zip(manifest.stages, found, strict=True):
        title = f"stage {stage.index}"
        if (stage.loads, stage.unloads) != (swap.loads, swap.unloads):
            yield f"{title}: loads and unloads do not lead from the stage before to this one"
        elif stage.load_bytes != (total := sum(known[name].bytes for name in stage.loads)):
            yield f"{title}: loads {stage.load_bytes} bytes, but its units have {total}"
