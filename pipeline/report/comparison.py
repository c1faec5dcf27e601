"""Two reports side by side: what differs between the two, and what became of every metric.

What may be compared, and when a difference is one, is what a gate over a baseline says
(`pipeline.report.baseline`, `pipeline.report.sessions`), whose limit is 1 and baseline A.
"""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pipeline.bundle.output import Output, metric_of_output
from pipeline.core.errors import UsageError
from pipeline.core.toml_file import Section
from pipeline.device.base import DeviceProperties
from pipeline.device.guards import Finding
from pipeline.report.baseline import metric_mismatch, unequal_conditions
from pipeline.report.integrity import wrong_results
from pipeline.report.metric_names import no_metric
from pipeline.report.schema import BundleFacts, Metric, Report, Verdict
from pipeline.report.sessions import Change, change_of, estimate_of, ratio_across
from pipeline.report.state_words import state_words
from pipeline.report.statistics import Estimate
from pipeline.report.suspicion import reasons_of
from pipeline.settings import TaskMetric

SCHEMA_VERSION: Literal[1] = 1

Direction = Literal["better", "worse", "no difference"]

#: Units of what is the better the more of it there is, and the less. Of others nothing is known.
_MORE_IS_BETTER = ("share", "dB", "cosine")
_LESS_IS_BETTER = ("ms", "MB", "bytes", "ratio", "relative", "images", "frames", "warnings")

#: What is never the same twice; `pipeline.device.guards` says where it is too little or too much.
_NEVER_THE_SAME = ("other programs", "memory available", "storage free")


class ComparedReport(Section):
    """One of the two reports.

    Attributes:
        sha256: of its file.
        created: UTC, ISO 8601.
        tool: version of the package that measured.
        bundle: what was measured.
        device: where.
        engine: name and version of the inference library.
        rounds: how many were measured.
        output: what the model answers with, where that is not a logit for each label.
        verdict: its own.
        wrong: everything that is wrong with its results, whatever its verdict says.
        reasons: everything that speaks against its timings, whatever its verdict says.
    """

    sha256: str
    created: str
    tool: str
    bundle: BundleFacts
    device: DeviceProperties
    engine: str
    rounds: int
    verdict: Verdict
    wrong: tuple[str, ...]
    reasons: tuple[Finding, ...]
    output: Output | None = None

    @property
    def metric(self) -> TaskMetric:
        """What stages are judged by."""
        return metric_of_output(self.output)

    @classmethod
    def of(cls, report: Report, sha256: str) -> Self:
        """What a comparison says of a report whose file has this sha256."""
        reasons = reasons_of(report)
        wrong = wrong_results(report)
        if report.validity.verdict == "invalid" and not wrong:
            wrong = [one.text for one in reasons] or ["it calls itself invalid"]
        return cls(
            sha256=sha256,
            created=report.context.created,
            tool=report.context.tool,
            bundle=report.bundle,
            device=report.context.device,
            engine=report.context.engine,
            rounds=report.context.options.rounds,
            verdict=report.validity.verdict,
            wrong=tuple(wrong),
            reasons=tuple(reasons),
            output=report.output,
        )


class Difference(Section):
    """A fact that is not the same in the two reports.

    Attributes:
        name: of the fact.
        a: its value in A, in words; empty where A does not say.
        b: its value in B.
        remedy: what to do about it, where it forbids that B is judged by A; or else null.
    """

    name: str
    a: str
    b: str
    remedy: str | None = None


class Spread(Section):
    """A median with its 95 % interval, or the range of fewer than six samples.

    Attributes:
        median: of the samples, or the ratio of two medians.
        low: lower end.
        high: upper end; null for a ratio without one, as A's interval holds 0.
        count: how many samples there are.
    """

    median: float
    low: float
    high: float | None
    count: int

    @classmethod
    def of(cls, estimate: Estimate) -> Self:
        """An estimate, to be written."""
        high = estimate.high if math.isfinite(estimate.high) else None
        return cls(median=estimate.median, low=estimate.low, high=high, count=estimate.count)


class MetricChange(Section):
    """A metric in both reports.

    Attributes:
        name: of the metric.
        unit: of it.
        a: in A, null where A has none.
        b: in B, null where B has none.
        ratio: B over A, null where A is 0 or less, or the two are not of the same thing.
        change: what became of it from A to B; null where the two cannot be compared.
        judgment: whether that is for the better; null where the two reports cannot be compared, or
            nothing is known about the unit.
        note: why there is no change, if so.
    """

    name: str
    unit: str
    a: Spread | None = None
    b: Spread | None = None
    ratio: Spread | None = None
    change: Change | None = None
    judgment: Direction | None = None
    note: str | None = None


class Comparison(Section):
    """Two reports, A being what B is compared with.

    Attributes:
        a: the earlier one, or whatever the first is.
        b: the later one.
        same: whether both say the very same.
        comparable: whether B may be judged by A.
        differences: of the two, those first that forbid it.
        metrics: those that were asked for, in the order of their names.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    a: ComparedReport
    b: ComparedReport
    same: bool
    comparable: bool
    differences: tuple[Difference, ...]
    metrics: tuple[MetricChange, ...]

    def to_json(self) -> str:
        """The text of a file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def compare_reports(
    a: Report, b: Report, sha256: tuple[str, str], patterns: Sequence[str] = ("*",)
) -> Comparison:
    """Puts two reports side by side.

    Args:
        a: what is compared with.
        b: what is compared.
        sha256: of the files of the two.
        patterns: of the names of metrics, ``*`` for any text; those that fit one are compared.

    Raises:
        UsageError: neither report has a metric that fits a pattern.
    """
    sides = [ComparedReport.of(*each) for each in zip((a, b), sha256, strict=True)]
    forbidding = list(_forbidding(a, b))
    comparable = a != b and not forbidding and not any(side.wrong for side in sides)
    names = sorted(a.metrics.keys() | b.metrics.keys())
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(
                f"the reports have {no_metric(pattern, names)}",
                "give --metric a name, or a pattern such as 'ttfi_ms.*'; without it, all are shown",
            )
    asked = [name for name in names if any(fnmatch.fnmatchcase(name, one) for one in patterns)]
    return Comparison(
        a=sides[0],
        b=sides[1],
        same=a == b,
        comparable=comparable,
        differences=(*forbidding, *_allowed(a, b)),
        metrics=tuple(_metric_change(name, a, b, comparable) for name in asked),
    )


def _forbidding(a: Report, b: Report) -> Iterator[Difference]:
    for found in unequal_conditions(b, a):
        before, after = _words(found.baseline), _words(found.report)
        yield Difference(name=found.name, a=before, b=after, remedy=found.remedy)


def _allowed(a: Report, b: Report) -> Iterator[Difference]:
    """What a release may change, and the state of the device before measuring."""
    facts = [_facts(each) | _state(each) for each in (a, b)]
    for name in dict.fromkeys([*facts[0], *facts[1]]):
        values = [each.get(name, "") for each in facts]
        if values[0] != values[1]:
            yield Difference(name=name, a=values[0], b=values[1])


def _facts(report: Report) -> dict[str, str]:
    bundle, context = report.bundle, report.context
    return {
        "bundle": bundle.id[:12],
        "stages": _words(stage.route for stage in report.stages),
        "arms": _words(f"{arm.name} {arm.route} {arm.precision}" for arm in bundle.arms),
        "exporter": bundle.exporter,
        "engine": context.engine,
        "compiler": context.harness.compiler,
        "tool": context.tool,
        "device": context.device.serial,
        "start states": _words(context.options.states),
        "rounds": str(context.options.rounds),
        "allowed": _words(context.allowed),
    }


def _state(report: Report) -> dict[str, str]:
    words = state_words(report.context.before)
    return {name: value for name, value in words.items() if name not in _NEVER_THE_SAME}


def _words(value: object) -> str:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    return ", ".join(map(str, value))


def _metric_change(name: str, a: Report, b: Report, comparable: bool) -> MetricChange:
    before, metric = a.metrics.get(name), b.metrics.get(name)
    found = metric or before
    assert found is not None
    change = MetricChange(
        name=name, unit=found.unit, a=_spread(before), b=_spread(metric), note=_note(name, a, b)
    )
    if before is None or metric is None or change.note is not None:
        return change
    ratio, moved = ratio_across(metric, before), change_of(metric, before)
    update = {"change": moved, "ratio": None if ratio is None else Spread.of(ratio)}
    judgment = _judgment(moved, found.unit) if comparable else None
    return change.model_copy(update=update | {"judgment": judgment})


def _note(name: str, a: Report, b: Report) -> str | None:
    before, metric = a.metrics.get(name), b.metrics.get(name)
    if before is None or metric is None:
        return "in B only" if before is None else "in A only"
    if before.unit != metric.unit:
        return f"in {before.unit} in A, in {metric.unit} in B"
    other = metric_mismatch(name, b, a)
    return None if other is None else f"{other.name} is {other.baseline} in A, {other.report} in B"


def _spread(metric: Metric | None) -> Spread | None:
    return None if metric is None else Spread.of(estimate_of(metric))


def _judgment(change: Change, unit: str) -> Direction | None:
    if change == "no difference":
        return change
    if unit in _MORE_IS_BETTER:
        return "better" if change == "higher" else "worse"
    if unit in _LESS_IS_BETTER:
        return "better" if change == "lower" else "worse"
    return None
