"""From a profile to a bundle: the rooms one after the other, and nothing made twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bundle.layout import (
    CONTROL,
    MANIFEST,
    control_folder,
    is_whole,
    require_build_output,
    sums_digest,
)
from pipeline.core.atomic_files import write_text
from pipeline.core.cluster import Cluster
from pipeline.core.fingerprint import fingerprint, machine_kind, versions
from pipeline.core.locks import replacing_place, using_folder
from pipeline.core.producers import build_versions
from pipeline.core.progress import Progress
from pipeline.core.work import Work
from pipeline.data.source import data_fingerprint
from pipeline.schedule.load_times import report_content
from pipeline.settings import Settings
from pipeline.workflows.lowering_targets import preflight_of, target_of
from pipeline.workflows.model_source import ModelSource

if TYPE_CHECKING:
    from pipeline.bundle.compose import Composition
    from pipeline.bundle.control import Controls
    from pipeline.bundle.manifest import BackendInfo, Manifest, Provenance
    from pipeline.bundle.verify import Bundle
    from pipeline.evaluation.model_warnings import ModelWarning
    from pipeline.evaluation.predictions import EvaluatedModel
    from pipeline.lowering.lowering_target import LoweringTarget
    from pipeline.schedule.choose import Trainer
    from pipeline.settings import BundleSettings
    from pipeline.workflows.precision_plan import PlannedPrecision
    from pipeline.workflows.schedule_model import ScheduledModel

_PACKAGES = ("torch", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Build:
    """What a build left on disk.

    Attributes:
        out: folder of the bundle.
        rebuilt: False when everything was there already.
    """

    out: Path
    rebuilt: bool

    @cached_property
    def bundle(self) -> Bundle:
        """What ships, read when it is first asked for."""
        from pipeline.bundle.verify import open_bundle

        return open_bundle(self.out)

    @cached_property
    def controls(self) -> Controls:
        """What it is measured against."""
        from pipeline.bundle.verify import open_controls

        return open_controls(control_folder(self.out), self.bundle.manifest)


def assemble(
    settings: Settings,
    out: Path,
    cache: Path,
    progress: Progress,
    *,
    jobs: int | Cluster | None = None,
    source: ModelSource | None = None,
) -> Build:
    """Builds the bundle of a profile into `out`, and its control arms beside it.

    Args:
        settings: the profile, with one backend.
        out: the bundle's folder; replaced in one move at the end, or left as it is.
        cache: folder for trained weights, lowered programs and the record of builds.
        progress: told everything that takes time.
        jobs: worker processes for lowering, by default one per processor, or a cluster of some.
        source: of the profile's model, which the builds for several backends share: what any of
            them refuses is told before the model is trained.

    Raises:
        UsageError: settings, data or `out` are wrong, or a unit cannot be lowered whole.
        IntegrityError: the model is worse than ``[bundle]`` allows, or a program deviates from
            eager PyTorch.
        BusyError: another run builds into `out`. One that uses `cache` is waited for.
        DeviceError: the cluster cannot be used, which is told before anything is trained.
    """
    require_build_output(out, keeps=(cache,))
    source = source or ModelSource(settings, progress, Work(cache, progress, jobs))
    target = target_of(settings)
    key = fingerprint(
        settings,
        data_fingerprint(settings.data),
        build_versions(),
        source.content(),
        report_content(settings.schedule.load_times),
        versions(*_PACKAGES) | dict(target.exporters),
        machine_kind(),
    )
    record = cache / "builds" / f"{key[:32]}.json"
    if (warnings := _unchanged(record, out)) is not None:
        _report_warnings(warnings, progress)
        return Build(out, rebuilt=False)
    with (
        replacing_place(out, "name another with --out"),
        replacing_place(control_folder(out), "name another with --out"),
        using_folder(cache, "name another with --cache", progress),
    ):
        work = Work(cache, progress, jobs)
        if work.cluster is not None:
            work.cluster.require(target.exporters)
        composition = _composition(settings, source, work)
        manifest = _pack(composition, out)
        made = {
            "bundle": sums_digest(out),
            "controls": sums_digest(control_folder(out)),
            "warnings": [warning.text for warning in manifest.warnings],
        }
        write_text(record, json.dumps(made))
    return Build(out, rebuilt=True)


def _unchanged(record: Path, out: Path) -> Sequence[str] | None:
    """The warnings of the build in `out`, if it is to the byte the one that the record is of.

    These bytes were checked as they were written. Reading them by their schemas again would take
    longer than all else that an unchanged build does.
    """
    try:
        made = json.loads(record.read_text(encoding="utf-8"))
        whole = is_whole(out, MANIFEST, made["bundle"])
        whole = whole and is_whole(control_folder(out), CONTROL, made["controls"])
        return list(made["warnings"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _report_warnings(warnings: Iterable[str], progress: Progress) -> None:
    for text in warnings:
        progress.say(f"warning: {text}")


def _composition(settings: Settings, source: ModelSource, work: Work) -> Composition:
    """The model trained or taken in, and made a bundle of with the precisions that it gets."""
    # Imported here: torch takes seconds, and an unchanged build needs none of it.
    from pipeline.lowering.precision import precisions_of
    from pipeline.workflows.load_model import model_of
    from pipeline.workflows.precision_plan import REFUSED, plan_precision

    preflight = preflight_of(settings, source.backends, work)
    model = model_of(settings, work.cache, work.progress, source, preflight)
    precisions_of(settings.lowering.precision, model.model.blocks)  # refuses another number of them
    planned = plan_precision(settings, model, work)
    try:
        made = _lowered(planned, target_of(planned.settings), model, work)
    except REFUSED as error:
        if (plain := planned.without_int8(error)) is None:
            raise
        made = _lowered(plain, target_of(plain.settings), model, work)
    chosen = {"student": source.student_choice(), "split": source.split_choice()}
    return replace(made, provenance=made.provenance.model_copy(update=chosen))


def _lowered(
    planned: PlannedPrecision, target: LoweringTarget, model: Trainer, work: Work
) -> Composition:
    """The model scheduled, evaluated and lowered."""
    from pipeline.bundle.compose import Composition, HostResults
    from pipeline.data.preprocessing import Preprocessing
    from pipeline.lowering.lower import lower_model
    from pipeline.model.arm import arms_of
    from pipeline.workflows.golden_images import calibration_of, golden_of
    from pipeline.workflows.lowered_trainer import LoweredTrainer
    from pipeline.workflows.program_scores import arm_scores, require_agreement, stage_scores
    from pipeline.workflows.schedule_model import schedule

    settings = planned.settings
    backend, provenance = _backend(settings, target), _provenance(planned.profile, target)
    arms = arms_of(settings.arm, model.model.blocks)
    trainer = LoweredTrainer(model, settings, target, work)
    scheduled = schedule(settings, trainer, [arm.route for arm in arms])
    whole, dataset = scheduled.evaluated, scheduled.evaluated.dataset
    warnings = _warnings(settings, scheduled, work.progress)
    golden = golden_of(settings, whole, scheduled.shipped)
    calibration = calibration_of(settings, dataset, scheduled.planned)
    lowered = lower_model(whole.model, golden, arms, target, work, calibration)
    stages, controls = stage_scores(whole, lowered), arm_scores(whole, lowered, target, work)
    require_agreement(settings.lowering.precision, stages, controls)
    shipped = whole.along(scheduled.shipped)
    return Composition(
        name=settings.name,
        family=settings.model.family,
        lowered=lowered,
        golden=golden,
        results=HostResults(
            stages=stages,
            arms=controls,
            predictions=shipped.predictions[:, : _evaluated(settings.bundle, shipped)],
            warnings=warnings,
        ),
        schedule=scheduled.choice.model_copy(update={"precision": planned.choice}),
        dataset=dataset,
        preprocessing=None if dataset.tensors else Preprocessing.of(settings.data, dataset),
        backend=backend,
        provenance=provenance,
    )


def _warnings(
    settings: Settings, scheduled: ScheduledModel, progress: Progress
) -> tuple[ModelWarning, ...]:
    """What speaks against the model; one that is too poor to ship is refused."""
    from pipeline.bundle.floors import require_floors

    whole = scheduled.evaluated
    shipped = whole.along(scheduled.shipped)
    warnings = scheduled.warnings(settings)
    _report_warnings((warning.text for warning in warnings), progress)
    require_floors(settings.bundle, shipped)
    _report_fewer_images(settings.bundle, shipped, progress)
    return warnings


def _backend(settings: Settings, target: LoweringTarget) -> BackendInfo:
    from pipeline.bundle.manifest import BackendInfo
    from pipeline.lowering.registry import backend_for

    exporter, version = next(iter(target.exporters.items()))
    return BackendInfo(
        name=target.backend,
        exporter=f"{exporter} {version}",
        minimum_runtime=backend_for(settings.lowering).minimum_runtime,
        precision=str(settings.lowering.precision),
        threads=settings.runtime.threads,
        favor=settings.runtime.favor,
        loaders=settings.runtime.loaders,
    )


def _provenance(settings: Settings, target: LoweringTarget) -> Provenance:
    from pipeline.bundle.manifest import Provenance

    return Provenance(
        profile=settings.model_dump(mode="json"),
        data=data_fingerprint(settings.data),
        versions=versions(*_PACKAGES) | dict(target.exporters),
        machine=machine_kind(),
    )


def _pack(parts: Composition, out: Path) -> Manifest:
    from pipeline.bundle.compose import compose_bundle, compose_controls
    from pipeline.bundle.pack import pack_build

    manifest, files = compose_bundle(parts)
    controls, programs = compose_controls(manifest, parts)
    pack_build(manifest, files, controls, programs, out)
    return manifest


def _evaluated(settings: BundleSettings, shipped: EvaluatedModel) -> int:
    test = shipped.dataset.test
    size: int = test.images[0].nbytes
    if test.labels.ndim > 1:  # a label map, or an embedding, of its own, and one of each stage
        size += test.labels[0].nbytes * (1 + len(shipped.routes))
    return settings.evaluated(len(test), size)


def _report_fewer_images(
    settings: BundleSettings, shipped: EvaluatedModel, progress: Progress
) -> None:
    """Fewer images than a profile asks for: it is told, and all that there may be are taken."""
    test = shipped.dataset.test
    for key in sorted(settings.model_fields_set & {"golden_images", "evaluation_images"}):
        wanted = getattr(settings, key)
        if wanted > len(test):
            progress.say(
                f"bundle.{key} = {wanted}: there are {len(test)} test images, all are taken"
            )
    taken = _evaluated(settings, shipped)
    if taken < min(settings.evaluation_images, len(test)):
        progress.say(
            f"{taken} of {len(test)} test images go into the bundle, to be evaluated on devices: "
            f"bundle.evaluation_mb = {settings.evaluation_mb:g}"
        )
