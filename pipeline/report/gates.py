"""Release gates: limits on what a report says, each with a verdict of its own.

A limit on a measured quantity is judged by the 95 % interval of its median: wholly within the limit
passes, wholly beyond it is a regression, and an interval that holds the limit is inconclusive:
measure longer, or on a quieter device. Counts that do not vary from run to run (bytes, accuracy on
the fixed evaluation set, parity) have an interval of one point and are always decided.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.errors import ExitCode
from pipeline.report.document import Metric, Report
from pipeline.report.metrics import ratio_of
from pipeline.report.statistics import Estimate, significantly_greater
from pipeline.section import Section


class Verdict(StrEnum):
    """How a gate was decided."""

    PASS = "pass"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Gate(Section):
    """One ``[[gate]]`` table of a gates file.

    Attributes:
        name: what a person calls it.
        metric: name of a metric of the report; ``*`` stands for any text, and then every metric
            that fits is judged.
        over: judge the ratio to this metric instead, round by round. ``baseline`` compares with the
            same metric of the baseline report.
        at_most: upper limit.
        at_least: lower limit.
        minus: judge the metric less this one (for metrics without spread, such as accuracy).
        integrity: a failure means wrong results, not slow ones, and ends with exit code 4.
    """

    name: str
    metric: str
    over: str | None = None
    minus: str | None = None
    at_most: float | None = None
    at_least: float | None = None
    integrity: bool = False

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError(f"gate {self.name!r}: give at_most, at_least or both")
        if self.over is not None and self.minus is not None:
            raise ValueError(f"gate {self.name!r}: over and minus exclude each other")
        return self


class GateFile(Section):
    """A gates file.

    Attributes:
        allow_suspect: judge reports whose own validity is suspect; otherwise that is an error.
        gate: the gates, in order.
    """

    allow_suspect: bool = False
    gate: Annotated[tuple[Gate, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate's verdict on one metric.

    Attributes:
        gate: the gate.
        metric: the metric that it was applied to.
        verdict: how it was decided.
        value: what was judged, with its interval; None for an error.
        why: the comparison in words.
    """

    gate: Gate
    metric: str
    verdict: Verdict
    value: Estimate | None
    why: str


def judge(gates: GateFile, report: Report, baseline: Report | None) -> list[Judgement]:
    """Applies every gate to a report.

    Args:
        gates: the limits.
        report: what is to be released.
        baseline: an earlier report of the same device; gates over it are errors without one.
    """
    found = list(_fitness(gates, report, baseline))
    for gate in gates.gate:
        names = fnmatch.filter(sorted(report.metrics), gate.metric)
        if not names:
            near = difflib.get_close_matches(gate.metric, report.metrics, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            why = f"the report has no metric {gate.metric}{hint}"
            found.append(Judgement(gate, gate.metric, Verdict.ERROR, None, why))
        found += [_apply(gate, name, report, baseline) for name in names]
    return found


def exit_code(judgements: Sequence[Judgement]) -> ExitCode:
    """What all verdicts together say; wrong results weigh more than slow ones."""
    wrong = [j for j in judgements if j.verdict is Verdict.REGRESSION]
    if any(j.gate.integrity for j in wrong):
        return ExitCode.INTEGRITY
    if wrong:
        return ExitCode.REGRESSION
    if any(j.verdict is Verdict.ERROR for j in judgements):
        return ExitCode.DEVICE
    if any(j.verdict is Verdict.INCONCLUSIVE for j in judgements):
        return ExitCode.INCONCLUSIVE
    return ExitCode.OK


def _fitness(gates: GateFile, report: Report, baseline: Report | None) -> Iterator[Judgement]:
    """Whether the reports can be judged at all."""
    gate = Gate(name="the report can be judged", metric="validity", at_least=0)
    if report.validity.verdict == "invalid" or (
        report.validity.verdict == "suspect" and not gates.allow_suspect
    ):
        why = f"the report is {report.validity.verdict}: {'; '.join(report.validity.reasons)}"
        yield Judgement(gate, "validity", Verdict.ERROR, None, why)
    if baseline is None:
        return
    for key in ("model", "abi", "system", "cores"):
        ours, theirs = report.context.device.get(key), baseline.context.device.get(key)
        if ours != theirs:
            why = f"the baseline was measured elsewhere: {key} {theirs!r}, here {ours!r}"
            yield Judgement(gate, "baseline", Verdict.ERROR, None, why)


def _apply(gate: Gate, name: str, report: Report, baseline: Report | None) -> Judgement:
    def error(why: str) -> Judgement:
        return Judgement(gate, name, Verdict.ERROR, None, why)

    metric = report.metrics[name]
    if gate.over == "baseline" or gate.minus == "baseline":
        if baseline is None:
            return error("no --baseline was given")
        if name not in baseline.metrics:
            return error(f"the baseline has no metric {name}")
        return _against_baseline(gate, name, metric, baseline.metrics[name])
    other = gate.over or gate.minus
    if other is not None and other not in report.metrics:
        return error(f"the report has no metric {other}")
    if gate.over is not None:
        ratio = ratio_of(report.metrics, name, gate.over)
        if ratio is None:
            return error(f"{name} and {gate.over} share no round")
        return _limit(gate, name, Estimate(ratio.median, ratio.low, ratio.high, ratio.rounds))
    value = Estimate(metric.median, metric.low, metric.high, len(metric.samples))
    if gate.minus is not None:
        less = report.metrics[gate.minus].median
        value = Estimate(value.median - less, value.low - less, value.high - less, value.count)
    return _limit(gate, name, value)


def _against_baseline(gate: Gate, name: str, metric: Metric, before: Metric) -> Judgement:
    """A ratio or difference across two sessions: significant, and large enough to matter."""
    if gate.minus is not None:
        shift = before.median
        value = Estimate(
            metric.median - shift, metric.low - shift, metric.high - shift, len(metric.samples)
        )
        return _limit(gate, name, value)
    if before.median == 0:
        why = f"{name} is 0 in the baseline: no ratio can be taken"
        return Judgement(gate, name, Verdict.ERROR, None, why)
    # The widest ratio that both intervals allow: no pairing exists across sessions.
    value = Estimate(
        metric.median / before.median,
        metric.low / before.high if before.high else metric.median / before.median,
        metric.high / before.low if before.low else metric.median / before.median,
        len(metric.samples),
    )
    judged = _limit(gate, name, value)
    if (
        judged.verdict is Verdict.INCONCLUSIVE
        and gate.at_most is not None
        and value.median > gate.at_most
        and significantly_greater(metric.samples, [s * gate.at_most for s in before.samples])
    ):
        why = f"{judged.why}; Mann-Whitney U finds it greater than the limit (p < 0.05)"
        return Judgement(gate, name, Verdict.REGRESSION, value, why)
    return judged


def _limit(gate: Gate, name: str, value: Estimate) -> Judgement:
    verdicts: list[Verdict] = []
    limits: list[str] = []
    if gate.at_most is not None:
        limits.append(f"at most {gate.at_most:g}")
        verdicts.append(_side(value.high <= gate.at_most, value.low > gate.at_most))
    if gate.at_least is not None:
        limits.append(f"at least {gate.at_least:g}")
        verdicts.append(_side(value.low >= gate.at_least, value.high < gate.at_least))
    order = (Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.PASS)
    verdict = next(v for v in order if v in verdicts)
    return Judgement(gate, name, verdict, value, " and ".join(limits))


def _side(within: bool, beyond: bool) -> Verdict:
    if within:
        return Verdict.PASS
    return Verdict.REGRESSION if beyond else Verdict.INCONCLUSIVE
