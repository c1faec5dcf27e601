"""What a device made of the evaluation set, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.bundle.manifest import Manifest, Stage
from pipeline.bundle.verify import Bundle
from pipeline.core.errors import DeviceError
from pipeline.data.label_maps import Labels
from pipeline.evaluation.accuracy import Accuracy
from pipeline.evaluation.class_scores import ClassScores
from pipeline.evaluation.label_scores import cosines
from pipeline.evaluation.pixel_counts import PixelCounts, images_with
from pipeline.harness.campaign import Campaign
from pipeline.report.integrity import cosine_allowed
from pipeline.report.schema import StagePrecision, StageResult
from pipeline.settings import PLAIN

_CONVERTERS = ("encoder", "decoder")
#: What to do where a device answered something else than it was asked.
OTHER_HARNESS = (
    "build the harness package with this release; it ran, but it answered something else"
)


def stage_results(bundle: Bundle, campaign: Campaign) -> list[StageResult]:
    """One for each stage.

    Raises:
        DeviceError: the device answered for other stages or images than it was asked.
    """
    manifest = bundle.manifest
    answers = {"label": _label_answers, "dense": _map_answers, "embedding": _embedding_answers}
    found = answers[manifest.model.judged_by](bundle, campaign)
    return [
        _result(manifest, stage, answer)
        for stage, answer in zip(manifest.stages, found, strict=True)
    ]


def _result(manifest: Manifest, stage: Stage, answer: dict[str, Any]) -> StageResult:
    return StageResult(
        index=stage.index,
        route=stage.route,
        load_bytes=stage.load_bytes,
        host_agreement=stage.accuracy.agreement,
        precision=_precision(manifest, stage),
        **answer,
    )


def _label_answers(bundle: Bundle, campaign: Campaign) -> Iterator[dict[str, Any]]:
    """What each stage makes of images with a label each."""
    predictions = campaign.predictions
    counts = {line.stage: len(line.predictions) for line in predictions}
    images = _require_all(bundle, campaign, counts, len(predictions))
    labels, expected = _evaluation_labels(bundle, images)
    by_stage = {line.stage: np.array(line.predictions) for line in predictions}
    for stage, host in enumerate(expected):
        got = by_stage[stage]
        classes = ClassScores.of(got, labels, len(bundle.manifest.model.labels))
        yield _shares(Accuracy.of(got, labels), classes) | {
            "host_correct": int((host == labels).sum()),
            "differing": int((got != host).sum()),
        }


def _map_answers(bundle: Bundle, campaign: Campaign) -> Iterator[dict[str, Any]]:
    """What each stage makes of images with a label map each."""
    counts = {line.stage: len(line.right) for line in campaign.maps}
    images = _require_all(bundle, campaign, counts, len(campaign.maps))
    labels, expected = _evaluation_labels(bundle, images)
    by_stage = {line.stage: line for line in campaign.maps}
    classes = len(bundle.manifest.model.labels)
    labeled = np.bincount(labels.ravel(), minlength=classes)[:classes].tolist()
    images_there = images_with(labels, classes)
    for stage, host in enumerate(expected):
        line = by_stage[stage]
        if [*line.there] != labeled:
            raise DeviceError(f"stage {stage} was held against other labels", OTHER_HARNESS)
        hits, given, there = (np.array(row) for row in (line.hits, line.given, line.there))
        pixels = PixelCounts(hits, given, there, images_there)
        accuracy = Accuracy.of_pixels(np.array(line.right), np.array(line.labeled))
        on_host = Accuracy.of(host, labels)
        scores = ClassScores.of_pixels(pixels)
        yield _shares(accuracy, scores) | {
            "host_correct": on_host.correct,
            "host_low": on_host.low,
            "differing": sum(line.differing),
            "pixels": accuracy.pixels,
            "iou": scores.iou,
            "mean_iou": scores.mean_iou,
        }


def _embedding_answers(bundle: Bundle, campaign: Campaign) -> Iterator[dict[str, Any]]:
    """What each stage makes of images of which each has an embedding of the teacher's."""
    counts = {line.stage: len(line.cosines) for line in campaign.embeddings}
    images = _require_all(bundle, campaign, counts, len(campaign.embeddings))
    teachers, expected = _evaluation_labels(bundle, images)
    by_stage = {line.stage: np.array(line.values) for line in campaign.embeddings}
    manifest = bundle.manifest
    for stage, host in zip(manifest.stages, expected, strict=True):
        on_host, found = cosines(host, teachers), by_stage[stage.index]
        accuracy, host_accuracy = Accuracy.of_cosines(found), Accuracy.of_cosines(on_host)
        most = cosine_allowed(manifest.golden.tolerance, stage.accuracy.agreement)
        yield {
            "images": images,
            "top1": accuracy.top1,
            "low": accuracy.low,
            "high": accuracy.high,
            "host_cosine": host_accuracy.top1,
            "host_low": host_accuracy.low,
            "differing": int((np.abs(found - on_host) > most).sum()),
        }


def _shares(accuracy: Accuracy, classes: ClassScores) -> dict[str, Any]:
    return {
        "correct": accuracy.correct,
        "images": accuracy.images,
        "top1": accuracy.top1,
        "low": accuracy.low,
        "high": accuracy.high,
        "balanced": classes.balanced,
        "recall": classes.recall,
    }


def _require_all(bundle: Bundle, campaign: Campaign, counts: dict[int, int], lines: int) -> int:
    """How many images every stage was asked about."""
    images = campaign.evaluated or bundle.manifest.evaluation.count
    asked = {stage.index: images for stage in bundle.manifest.stages}
    if counts != asked or lines != len(asked):
        raise DeviceError(
            f"the device gave {counts} predictions by stage, not {asked}", OTHER_HARNESS
        )
    return images


def _evaluation_labels(bundle: Bundle, images: int) -> tuple[Labels, Labels]:
    """The labels of so many images, or the teacher's embeddings, and what the host gives them at
    each stage.
    """
    manifest, evaluation = bundle.manifest, bundle.manifest.evaluation
    kind, size = manifest.model.label_type, manifest.model.label_shape
    labels = np.fromfile(bundle.root / evaluation.labels.path, dtype=kind)
    expected = np.fromfile(bundle.root / evaluation.predictions.path, dtype=kind)
    shape = (evaluation.count, *size)
    return labels.reshape(shape)[:images], expected.reshape(-1, *shape)[:, :images]


def _precision(manifest: Manifest, stage: Stage) -> StagePrecision:
    """What the blocks of a stage compute with; converters between them are always float32."""
    units = [unit for unit in manifest.artifacts if unit.id in stage.units]
    plain = {unit.precision == PLAIN for unit in units if unit.role not in _CONVERTERS}
    return "mixed" if len(plain) > 1 else "fp32" if plain == {True} else "int8"
