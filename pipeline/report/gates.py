"""Release gates: limits on what a report says, each with a verdict of its own.

A limit on a measured quantity is judged by the 95 % interval of its median: wholly within the limit
passes, wholly beyond it is a regression, and an interval that holds the limit is inconclusive:
measure longer, or on a quieter device. Counts that do not vary from run to run (bytes, accuracy on
the fixed evaluation set, parity) have an interval of one point and are always decided.

Limits come second. A report whose results are wrong (`pipeline.report.integrity`), or a baseline
whose are, fails whatever the gates say.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.core.errors import ExitCode, worst_code
from pipeline.report.baseline import metric_mismatch, mismatches
from pipeline.report.conclusions import conclusions_of
from pipeline.report.gate_file import BASELINE, PAYS, Gate, GateFile
from pipeline.report.integrity import parity_of, wrong_results
from pipeline.report.metric_names import known_metrics, no_metric
from pipeline.report.ratios import estimate_of_ratio
from pipeline.report.schema import Metric, Report
from pipeline.report.sessions import estimate_of, ratio_across, shifted_above, shifted_below
from pipeline.report.statistics import Estimate
from pipeline.report.suspicion import reasons_of
from pipeline.report.unmeasured import missed_loads


class GateVerdict(StrEnum):
    """How a gate was decided."""

    PASS = "pass"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate's verdict on one metric.

    Attributes:
        gate: the gate.
        metric: the metric that it was applied to.
        verdict: how it was decided.
        value: what was judged, with its interval; None for an error and what was skipped.
        why: the comparison in words.
    """

    gate: Gate
    metric: str
    verdict: GateVerdict
    value: Estimate | None
    why: str

    @property
    def code(self) -> ExitCode:
        """The exit status of this verdict alone."""
        if self.verdict is GateVerdict.REGRESSION and self.gate.integrity:
            return ExitCode.INTEGRITY
        return _CODES[self.verdict]


_CODES = {
    GateVerdict.PASS: ExitCode.OK,
    GateVerdict.REGRESSION: ExitCode.REGRESSION,
    GateVerdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    GateVerdict.ERROR: ExitCode.DEVICE,
    GateVerdict.SKIPPED: ExitCode.OK,
}


def judge(gates: GateFile, report: Report, baseline: Report | None) -> list[GateResult]:
    """Applies every gate to a report.

    Args:
        gates: the limits.
        report: what is to be released.
        baseline: an earlier report of the same model on the same device; gates over it are errors
            without one, unless they are optional.
    """
    found = list(_fitness(gates, report, baseline))
    names = sorted(known_metrics(report))
    asked = [gate for gate in gates.gate if baseline is not None or not gate.waits_for_baseline]
    if not asked:
        found.append(_error(gates.gate[0], BASELINE, "every gate is optional: give a --baseline"))
    for gate in asked:
        matching = fnmatch.filter(names, gate.metric)
        judged = [_apply(gate, name, report, baseline) for name in matching]
        if gate.needs_baseline and baseline is not None:
            judged += _vanished(gate, names, baseline)
            if matching and all(result.verdict is GateVerdict.SKIPPED for result in judged):
                judged.append(_error(gate, gate.metric, "the baseline has none of these metrics"))
        found += judged or _concluded(gate, report)
    if asked and all(result.verdict is GateVerdict.SKIPPED for result in found):
        found.append(_error(asked[0], asked[0].metric, "every gate was skipped"))
    return found


def exit_code(results: Sequence[GateResult]) -> ExitCode:
    """What all verdicts together say; wrong results weigh more than slow ones."""
    return worst_code(result.code for result in results)


def _vanished(gate: Gate, names: Sequence[str], baseline: Report) -> Iterator[GateResult]:
    """What a gate compares that the baseline has and the report is no longer about."""
    lost = known_metrics(baseline).difference(names)
    for name in fnmatch.filter(sorted(lost), gate.metric):
        why = (
            f"the baseline has {name}, this report has not: measure the same arms, stages, start "
            "states and rates, or give the gate a pattern without it"
        )
        yield _error(gate, name, why)


def _fitness(gates: GateFile, report: Report, baseline: Report | None) -> Iterator[GateResult]:
    """Whether the reports can be judged at all."""
    yield from _trust(gates, report, "report")
    if baseline is None:
        return
    yield from _trust(gates, baseline, "baseline")
    gate = Gate(name="the baseline can be compared with", metric="baseline", at_least=0)
    for why in mismatches(report, baseline):
        yield _error(gate, "baseline", why)


def _trust(gates: GateFile, report: Report, which: str) -> Iterator[GateResult]:
    """Whether a report's results are right and its timings its own, whatever its verdict says."""
    verdict = report.validity.verdict
    all_reasons = reasons_of(report)
    reasons = [one for one in all_reasons if one.id not in gates.allow]
    wrong = wrong_results(report)
    if wrong or verdict == "invalid":
        gate = Gate(
            name=f"the {which}'s results are right", metric="validity", at_least=0, integrity=True
        )
        texts = dict.fromkeys([*wrong, *(one.text for one in all_reasons)])
        why = f"the {which} is invalid: {'; '.join(texts)}"
        yield GateResult(gate, "validity", GateVerdict.REGRESSION, None, why)
    elif reasons or (verdict == "suspect" and not all_reasons):
        gate = Gate(name=f"the {which} can be judged", metric="validity", at_least=0)
        why = "; ".join(map(str, reasons)) or "it does not say of what"
        yield _error(gate, "validity", f"the {which} is suspect: {why}")


def _error(gate: Gate, name: str, why: str) -> GateResult:
    return GateResult(gate, name, GateVerdict.ERROR, None, why)


def _unknown(name: str, report: Report) -> str:
    return f"the report has {no_metric(name, [*report.metrics, *report.ratios, PAYS])}"


def _concluded(gate: Gate, report: Report) -> Iterator[GateResult]:
    """A gate on what follows from metrics: the verdict, or the ratios of a name or pattern."""
    names = [PAYS] if gate.metric == PAYS else fnmatch.filter(sorted(report.ratios), gate.metric)
    if not names:
        yield _error(gate, gate.metric, _unknown(gate.metric, report))
    elif (other := gate.over or gate.minus) is not None:
        yield _error(gate, gate.metric, f"no metric, but what follows from some: leave out {other}")
    elif names == [PAYS]:
        yield _verdict(gate, report)
    else:
        pairs = [(name, report.ratios[name]) for name in names]
        for name, pair in pairs:
            compared = gate.model_copy(update={"over": pair.denominator})
            yield replace(_apply(compared, pair.numerator, report, None), gate=gate, metric=name)


def _verdict(gate: Gate, report: Report) -> GateResult:
    """Whether loading progressively pays: 1 or 0."""
    conclusions = conclusions_of(report)
    if conclusions.pays is None:
        return _error(gate, PAYS, conclusions.sum)
    judged = _limit(gate, PAYS, Estimate.of([float(conclusions.pays)]))
    return replace(judged, why=f"{judged.why}: {conclusions.sum}")


def _apply(gate: Gate, name: str, report: Report, baseline: Report | None) -> GateResult:
    if name not in report.metrics:
        return _missing(gate, name, report)
    metric = report.metrics[name]
    if gate.needs_baseline:
        return _against_baseline(gate, name, report, baseline)
    other = gate.over or gate.minus
    if other is not None and other not in report.metrics:
        return _error(gate, name, _unknown(other, report))
    if gate.over is not None:
        ratio = estimate_of_ratio(metric, report.metrics[gate.over])
        if ratio is None:
            return _error(gate, name, f"{name} and {gate.over} share no round, or the latter is 0")
        return _limit(gate, name, ratio)
    value = estimate_of(metric)
    if gate.minus is not None:
        value = _shifted(value, estimate_of(report.metrics[gate.minus]).median)
    return _limit(gate, name, value)


def _missing(gate: Gate, name: str, report: Report) -> GateResult:
    """A metric that the report should have: NaN has none, and is never judged by what is left."""
    kind, _, program = name.partition(".")
    result = parity_of(report, program)
    if kind.startswith("parity_") and result is not None and result.max_rel is None:
        return GateResult(
            gate, name, GateVerdict.REGRESSION, None, f"{program} gives NaN or infinity"
        )
    if (unmeasured := missed_loads(name, report)) is not None:
        if gate.optional:
            return GateResult(gate, name, GateVerdict.SKIPPED, None, unmeasured)
        return GateResult(gate, name, GateVerdict.INCONCLUSIVE, None, unmeasured)
    why = (
        f"the report lacks {name}, although it is about that stage, arm or start state: "
        "measure again with this release"
    )
    return _error(gate, name, why)


def _shifted(value: Estimate, less: float) -> Estimate:
    return Estimate(value.median - less, value.low - less, value.high - less, value.count)


def _against_baseline(gate: Gate, name: str, report: Report, baseline: Report | None) -> GateResult:
    """A ratio or difference across two sessions: significant, and large enough to matter."""
    if baseline is None:
        return _error(gate, name, "no --baseline was given")
    if "*" in gate.metric and name not in known_metrics(baseline):
        why = f"not compared: the baseline was measured without what {name} is about"
        return GateResult(gate, name, GateVerdict.SKIPPED, None, why)
    if name not in baseline.metrics:
        return _error(gate, name, f"the baseline has no metric {name}")
    if (other := metric_mismatch(name, report, baseline)) is not None:
        difference = f"{other.name} is {other.report} here and {other.baseline} in the baseline"
        return _error(gate, name, f"{difference}: {other.remedy}")
    metric, before = report.metrics[name], baseline.metrics[name]
    if gate.minus is not None:
        return _limit(gate, name, _shifted(estimate_of(metric), estimate_of(before).median))
    value = ratio_across(metric, before)
    if value is None:
        return _error(gate, name, f"{name} is 0 in the baseline: no ratio can be taken")
    judged = _limit(gate, name, value)
    if judged.verdict is GateVerdict.INCONCLUSIVE and _beyond(gate, metric, before):
        why = f"{judged.why}; Mann-Whitney U finds it beyond the limit (p < 0.05)"
        return GateResult(gate, name, GateVerdict.REGRESSION, value, why)
    return judged


def _beyond(gate: Gate, metric: Metric, before: Metric) -> bool:
    """Whether the samples are above the upper or below the lower limit, and significantly so."""
    above, below = gate.at_most, gate.at_least
    if above is not None and shifted_above(metric, before, above):
        return True
    return below is not None and shifted_below(metric, before, below)


def _limit(gate: Gate, name: str, value: Estimate) -> GateResult:
    verdicts: list[GateVerdict] = []
    limits: list[str] = []
    if gate.at_most is not None:
        limits.append(f"at most {gate.at_most:g}")
        verdicts.append(_side(value.high <= gate.at_most, value.low > gate.at_most))
    if gate.at_least is not None:
        limits.append(f"at least {gate.at_least:g}")
        verdicts.append(_side(value.low >= gate.at_least, value.high < gate.at_least))
    order = (GateVerdict.REGRESSION, GateVerdict.INCONCLUSIVE, GateVerdict.PASS)
    verdict = next(v for v in order if v in verdicts)
    return GateResult(gate, name, verdict, value, " and ".join(limits))


def _side(within: bool, beyond: bool) -> GateVerdict:
    if within:
        return GateVerdict.PASS
    return GateVerdict.REGRESSION if beyond else GateVerdict.INCONCLUSIVE
