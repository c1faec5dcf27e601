"""The arms of a report: the progressive bundle and what it was measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.settings import PROGRESSIVE

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


def stage_of(arm: ArmFacts, report: Report) -> StageResult | None:
    """The stage that answers as an arm does: with its blocks, and quantized where the arm is."""
    quantized = {result.name: result.least_sqnr_db is not None for result in report.parity}

    def alike(stage: StageResult) -> bool:
        of_stage, of_arm = quantized.get(f"stage-{stage.index}"), quantized.get(arm.name)
        # A t is a T in int8: an arm says so by its precision, a route of one letter for each block.
        return stage.route.upper() == arm.route and of_stage == of_arm

    return next((stage for stage in report.stages if alike(stage)), None)


def accuracy_of(arm: ArmFacts, report: Report) -> float:
    """Top-1 of an arm: as the device measured it at a stage of that route, or else the host's."""
    stage = stage_of(arm, report)
    return arm.host_top1 if stage is None else stage.top1
