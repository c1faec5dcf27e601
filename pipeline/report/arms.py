"""The arms of a report: the progressive bundle and what it was measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.settings import PLAIN, PROGRESSIVE

if TYPE_CHECKING:
    from pipeline.report.schema import ArmFacts, BundleFacts, Report, StageResult


def arm_names(facts: BundleFacts) -> list[str]:
    """The progressive arm, then the control arms."""
    return [PROGRESSIVE, *(arm.name for arm in facts.arms)]


def program_names(report: Report) -> list[str]:
    """What gives logits: ``stage-0`` and so on, then the control arms."""
    stages = [f"stage-{stage.index}" for stage in report.stages]
    return stages + [arm.name for arm in report.bundle.arms]


def program_of(arm: str) -> str:
    """What gives an arm's first answer: the progressive one's is that of stage 0."""
    return "stage-0" if arm == PROGRESSIVE else arm


def stage_of(arm: ArmFacts, stages: Sequence[StageResult]) -> StageResult | None:
    """The stage that answers as an arm does: with its blocks, all of them in its precision.

    An older report does not say what a stage computes with: it counts as float32.
    """
    wanted = PLAIN if arm.precision == PLAIN else "int8"

    def alike(stage: StageResult) -> bool:
        # A t is a T in int8: an arm says so by its precision, a route of one letter for each block.
        return stage.route.upper() == arm.route and (stage.precision or PLAIN) == wanted

    return next((stage for stage in stages if alike(stage)), None)


def accuracy_of(arm: ArmFacts, report: Report) -> float:
    """Top-1 of an arm: as the device measured it at a stage that answers alike, or the host's."""
    stage = stage_of(arm, report.stages)
    return arm.host_top1 if stage is None else stage.top1
