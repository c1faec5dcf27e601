"""The precision plan of a profile that says ``auto``: whether an int8 student is as good."""

from __future__ import annotations

from pipeline.bundle.schedule import Int8Student, PlanChoice
from pipeline.evaluation.label_scores import Scores
from pipeline.schedule.gain import Gain
from pipeline.settings import PrecisionPlan

#: The first is taken unless its student is worse than that of the second.
INT8_PLAN: PrecisionPlan = "S8->T32"
FP32_PLAN: PrecisionPlan = "S32->T32"
#: Shares of right pixels and cosines that differ by less are equal: noise always turns a vector
#: away, and images enough make the smallest loss certain.
_TIE = 1e-3


def choose_plan(fp32: Scores, int8: Scores) -> PlanChoice:
    """Takes the int8 student unless it is worse by more than the uncertainty.

    It is where the 95 % interval of the difference lies below zero: what makes a stage worse than
    the one before it, too. Of label maps and embeddings it is by a thousandth at least, besides.

    Args:
        fp32: which of the images that choose the stages the float32 student gets right ``[n]``, or
            how good it is at each.
        int8: which of them the programs of the int8 student do.
    """
    gain = Gain.between(fp32, int8)
    low, high = round(gain.low, 6), round(gain.high, 6)
    student = Int8Student(top1=_top1(int8), low=low, high=high)
    if high < 0 and (fp32.dtype == bool or gain.value < -_TIE):
        plan, why = FP32_PLAN, "the int8 student is worse by more than the uncertainty"
    elif high < 0:
        plan, why = INT8_PLAN, "the int8 student is worse by less than a thousandth"
    else:
        plan, why = INT8_PLAN, "the int8 student is no worse within the uncertainty"
    return PlanChoice(taken=plan, fp32_top1=_top1(fp32), int8=student, why=why)


def float32_plan(fp32: Scores, why: str) -> PlanChoice:
    """The choice where there is no int8 student, and why there is none."""
    return PlanChoice(taken=FP32_PLAN, fp32_top1=_top1(fp32), int8=None, why=why)


def _top1(right: Scores) -> float:
    return round(float(right.mean()), 6)
