"""A bundle as tables for a terminal of 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.bundle.artifact import Deviation
from pipeline.bundle.manifest import Input, Manifest
from pipeline.bundle.stated_score import Score
from pipeline.core.formatting import size
from pipeline.report.render.recall_table import overlap_sentence, recall_sentence, share
from pipeline.report.render.schedule_table import schedule_table
from pipeline.report.render.terminal import table_console

if TYPE_CHECKING:
    from pipeline.lowering.litert.cross_check import CrossCheck


#: What a model's labels are.
_WHAT = {"label": "labels", "dense": "labels", "embedding": "places of an embedding"}


def bundle_tables(manifest: Manifest) -> RenderableType:
    """What the bundle is, its stages, why these, and its artifacts."""
    return Group(
        _head(manifest),
        _stages(manifest),
        _recall(manifest),
        schedule_table(manifest.schedule, manifest.model.metric),
        _artifacts(manifest),
    )


def print_bundle(manifest: Manifest) -> None:
    """Prints `bundle_tables` on stdout, never wider than 100 columns."""
    table_console().print(bundle_tables(manifest))


def _head(manifest: Manifest) -> Text:
    model, backend = manifest.model, manifest.backend
    return Text(
        f"{manifest.name}  {manifest.id[:12]}\n"
        f"{model.family}, {model.blocks} blocks, {len(model.labels)} {_WHAT[model.judged_by]}; "
        f"parameters: teacher {model.teacher_parameters:,}, student {model.student_parameters:,}\n"
        f"{backend.precision} by {backend.exporter}, runs on {backend.name} "
        f">= {backend.minimum_runtime}; input {'x'.join(map(str, manifest.input.shape))} "
        f"{manifest.input.layout}\n{_output(manifest)}"
        f"{_inputs(manifest.input)}"
        + "".join(f"warning: {warning.text}\n" for warning in manifest.warnings)
    )


def _output(manifest: Manifest) -> str:
    """What comes out, where that is no logit for each label."""
    if (output := manifest.model.output) is None:
        return ""
    shape = "x".join(map(str, output.edge.shape))
    metric = manifest.model.metric
    words = "logits of each pixel" if output.kind == "dense" else "an embedding"
    return f"output {shape} {output.edge.layout}: {words}, judged by {metric.title}\n"


def _inputs(read: Input) -> str:
    """How an image becomes what the programs read, or another tensor."""
    stated, preprocessing = read.normalization, read.preprocessing
    if stated is None:
        tokens = f"tokens: 0 to {(read.vocabulary or 1) - 1}\n"
        return tokens if read.vocabulary else "values: as they are\n"
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (stated.mean, stated.std))
    words = f"(x - mean) / std, mean {mean}, std {std}"
    if preprocessing is None:
        return f"values: {words}\n"
    return f"images: {preprocessing}\nnormalization: {words}, {preprocessing.origin}\n"


def _recall(manifest: Manifest) -> Text:
    final = manifest.stages[-1]
    if not final.accuracy.recall:
        return Text("")
    words = recall_sentence(final.accuracy.recall, manifest.model.labels)
    if (overlap := final.accuracy.mean_iou) is not None:
        words += "\n" + overlap_sentence(overlap, final.accuracy.iou, manifest.model.labels)
    return Text(f"final stage, {words}\n")


def _stages(manifest: Manifest) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="stages", title_justify="left", pad_edge=False)
    for name in ("stage", "route", "loads"):
        table.add_column(name)
    metric = manifest.model.metric
    labels = manifest.model.judged_by != "embedding"
    balanced = ("balanced",) if labels else ()
    for name in ("bytes", metric.column, "95 % interval", *balanced, "max rel error"):
        table.add_column(name, justify="right")
    for stage in manifest.stages:
        score = stage.accuracy
        table.add_row(
            str(stage.index),
            stage.route,
            " ".join(stage.loads),
            size(stage.load_bytes),
            metric.value(_accuracy(score)),
            metric.interval(score.low, score.high),
            *((share(score.balanced),) if labels else ()),
            _error(stage.parity),
        )
    return table


def _artifacts(manifest: Manifest) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="artifacts", title_justify="left", pad_edge=False)
    table.add_column("id")
    for name in ("bytes", "parameters"):
        table.add_column(name, justify="right")
    table.add_column("in -> out")
    table.add_column("delegated", justify="right")
    table.add_column("max rel error", justify="right")
    table.add_column("sha256")
    for artifact in manifest.artifacts:
        shapes = ("x".join(map(str, e.shape[1:])) for e in (artifact.input, artifact.output))
        table.add_row(
            artifact.id,
            size(artifact.bytes),
            f"{artifact.parameters:,}",
            " -> ".join(shapes),
            f"{artifact.delegated}/{sum(artifact.operators.values())}",
            _error(artifact.parity),
            artifact.sha256[:12],
        )
    return table


def _accuracy(score: Score) -> float:
    if score.correct is None:
        return score.top1
    return score.correct / (score.pixels or score.images)  # `top1` is rounded


def _error(parity: Deviation) -> str:
    """What a program is judged by: a relative error, or decibels where it is quantized."""
    return f"{parity.max_rel:.1e}" if parity.sqnr_db is None else f"{parity.sqnr_db:.1f} dB"


def print_cross_check(opinion: CrossCheck) -> None:
    """Prints how far another library is from LiteRT unit by unit, and from PyTorch by stage."""
    title = f"tf.lite of TensorFlow {opinion.version}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("what")
    table.add_column("compared with")
    table.add_column("max rel error", justify="right")
    for name, parity in opinion.units.items():
        table.add_row(name, "LiteRT", f"{parity.max_rel:.1e}")
    for route, parity in opinion.stages.items():
        table.add_row(route, "eager PyTorch", f"{parity.max_rel:.1e}")
    table_console().print(table)
