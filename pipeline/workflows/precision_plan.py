"""From a profile that says ``auto`` to the precision plan that its bundle is made by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from pipeline.bundle.schedule import PlanChoice
from pipeline.core.errors import IntegrityError, PipelineError, UsageError
from pipeline.core.work import Work
from pipeline.evaluation.label_scores import Scores
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.schedule.choose import Trainer
from pipeline.schedule.precision_choice import FP32_PLAN, INT8_PLAN, choose_plan, float32_plan
from pipeline.settings import AUTO, BACKENDS, PrecisionPlan, Settings, with_precision
from pipeline.workflows.lowered_trainer import LoweredTrainer
from pipeline.workflows.lowering_targets import target_of
from pipeline.workflows.schedule_model import schedule

#: How a program in int8 is refused: it cannot be lowered, does not run, or is too far from eager.
REFUSED = (UsageError, IntegrityError)


@dataclass(frozen=True, slots=True)
class PlannedPrecision:
    """A profile whose ``[lowering.precision]`` is decided.

    Attributes:
        profile: as it is written.
        choice: which plan was taken; None where the profile does not say ``auto``.
    """

    profile: Settings
    choice: PlanChoice | None = None

    @property
    def settings(self) -> Settings:
        """The profile, with the plan that was taken."""
        return _planned(self.profile, self.choice.taken) if self.choice else self.profile

    def without_int8(self, error: PipelineError) -> Self | None:
        """The same in float32, where int8 was taken and is refused after all; None elsewhere."""
        if self.choice is None or self.choice.taken == FP32_PLAN:
            return None
        update = {"taken": FP32_PLAN, "why": _refusal(error)}
        return replace(self, choice=self.choice.model_copy(update=update))


def plan_precision(settings: Settings, model: Trainer, work: Work) -> PlannedPrecision:
    """Decides between an int8 and a float32 student where a profile says ``auto``.

    They are compared after the order of the blocks has been chosen in float32.

    Args:
        settings: the profile, with one backend.
        model: of the profile, evaluated in eager PyTorch.
        work: how programs are made.

    Raises:
        UsageError: settings, data and model do not fit together.
    """
    if settings.lowering.precision.plan != AUTO:
        return PlannedPrecision(settings)
    scheduled = schedule(_planned(settings, FP32_PLAN), model)
    fp32 = _right(scheduled.evaluated)
    (backend,) = settings.lowering.backend
    if not BACKENDS[backend].recipes:
        return PlannedPrecision(settings, float32_plan(fp32, f"{backend} has no recipe for int8"))
    quantized = _planned(settings, INT8_PLAN)
    trainer = LoweredTrainer(model, quantized, target_of(quantized), work)
    student = scheduled.planned[:1]
    try:
        int8 = _right(trainer.train_and_evaluate(scheduled.planned, student))
    except REFUSED as error:
        return PlannedPrecision(settings, float32_plan(fp32, _refusal(error)))
    return PlannedPrecision(settings, choose_plan(fp32, int8))


def _planned(settings: Settings, plan: PrecisionPlan) -> Settings:
    return with_precision(settings, settings.lowering.precision.planned(plan))


def _right(found: EvaluatedModel) -> Scores:
    """Which of the images that choose the stages the first route, the student, gets right."""
    return found.choosing_scores[found.routes[0]]


def _refusal(error: PipelineError) -> str:
    return f"the int8 student is refused: {error.what}"
