"""Whether loading progressively pays for a model on a device, in sentences, against every arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.core.formatting import counted, milliseconds, size
from pipeline.report.arms import accuracy_of
from pipeline.report.compared_ratio import ComparedRatio, ratio_of_sizes
from pipeline.report.metric_names import states_in
from pipeline.report.ratios import estimate_of_ratio
from pipeline.report.schema import ArmFacts, Report
from pipeline.report.statistics import FEWEST
from pipeline.settings import PROGRESSIVE

#: What people take for instant: R. B. Miller, Response time in man-computer conversational
#: transactions, 1968.
INSTANT_MS = 100

#: The name of an arm, and the ratio to what it takes.
Than = tuple[str, ComparedRatio]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a reader should see first.

    Attributes:
        title: what it is of.
        value: it, with its unit.
        note: what goes with it; may be empty.
        than: its ratios to what other arms take.
    """

    title: str
    value: str
    note: str
    than: tuple[Than, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """One sentence.

    Attributes:
        about: what it is about, such as ``memory``.
        pays: whether it speaks for loading progressively; None where it speaks for neither.
        text: the sentence. Medians; two are told apart where the 95 % interval of their ratio,
            paired by round, leaves out 1.
        figure: the number that it is about, if it is about one.
    """

    about: str
    pays: bool | None
    text: str
    figure: Figure | None = None

    @property
    def sign(self) -> str:
        """``+`` for, ``-`` against, ``=`` neither."""
        return {True: "+", False: "-", None: "="}[self.pays]

    @property
    def word(self) -> str:
        """The same in a word: ``for``, ``against``, ``neither``."""
        return {True: "for", False: "against", None: "neither"}[self.pays]


@dataclass(frozen=True, slots=True)
class Conclusions:
    """All that is to be said, and the sum of it.

    Attributes:
        sum: in one sentence.
        sentences: why; empty where the results are wrong.
        pays: the same in a word; None where too little was measured to tell.
    """

    sum: str
    sentences: tuple[Conclusion, ...] = ()
    pays: bool | None = None


def conclusions_of(report: Report) -> Conclusions:
    """What a report says on whether its bundle is worth it, from the coldest start measured.

    A control arm is a rival where it is as accurate as the final stage, or within its uncertainty:
    who has one needs no stages. The student is a rival, too, where it is that good.
    """
    states = states_in(report.metrics)
    if report.validity.verdict == "invalid" or not states:
        return Conclusions("Nothing is concluded: the results are wrong, or no start was measured.")
    compared = _Comparison(report, states[0])
    first = compared.first_answer()
    doubts = tuple(compared.doubts())
    costs = (
        *(compared.full_accuracy(), compared.two_steps(), compared.memory()),
        *(compared.bytes(), compared.stall()),
    )
    sentences = (first, *(cost for cost in costs if cost is not None), *doubts)
    if not compared.enough:
        return Conclusions(f"Too few rounds tell whether it pays: {FEWEST} are needed.", sentences)
    pays = first.pays is True and not doubts
    verb = "pays" if pays else "does not pay"
    why = (doubts[0] if doubts else first).about
    doubted = ", as far as suspect numbers tell" if report.validity.verdict == "suspect" else ""
    return Conclusions(f"Loading progressively {verb} here{doubted}: {why}.", sentences, pays)


class _Comparison:
    """The progressive arm against the control arms, from one start state."""

    def __init__(self, report: Report, state: str) -> None:
        self._report = report
        self._state = state
        self._final = report.stages[-1]
        self._metric = report.metric
        arms = report.bundle.arms
        self._rivals = [arm for arm in arms if accuracy_of(arm, report) >= self._final.low]

    @property
    def enough(self) -> bool:
        """Whether first answers were measured often enough to tell any apart."""
        progressive = self._report.metrics[f"ttfi_ms.{PROGRESSIVE}.{self._state}"]
        return len(progressive.samples) >= FEWEST

    def first_answer(self) -> Conclusion:
        """Against all arms; what it is worth is decided by the rivals."""
        progressive, first = f"ttfi_ms.{PROGRESSIVE}.{self._state}", self._report.stages[0]
        against = [
            (arm, self._than(progressive, self._ttfi(arm))) for arm in self._report.bundle.arms
        ]
        pays = _pays([(arm, ratio) for arm, ratio in against if arm in self._rivals])
        value, accurate = f"{self._ms(progressive)} ms", self._metric.words(first.top1)
        return Conclusion(
            "the first answer comes earlier" if pays else "the first answer",
            pays,
            f"{self._state} start: the first answer is there after {value}, "
            f"{accurate}{_against(against)}",
            Figure(f"first answer, {self._state} start", value, accurate, _known(against)),
        )

    def full_accuracy(self) -> Conclusion | None:
        """When answers are as accurate as they get, against the rivals' first ones."""
        progressive = f"time_to_final_ms.{self._state}"
        if progressive not in self._report.metrics:
            return None
        against = [(arm, self._than(progressive, self._ttfi(arm))) for arm in self._rivals]
        value, metric, top1 = f"{self._ms(progressive)} ms", self._metric, self._final.top1
        return Conclusion(
            metric.full,
            _pays(against),
            f"{metric.full_words(top1)}, begin after {value}{_against(against)}"
            f"{self._earlier(against)}",
            Figure(metric.full, value, metric.words(top1), _known(against)),
        )

    def _earlier(self, against: Sequence[tuple[ArmFacts, ComparedRatio]]) -> str:
        """Which rival has its first answer before, if any, in words after a semicolon."""
        earlier = [arm for arm, ratio in against if ratio.sign > 0]
        if not earlier:
            return ""
        first = min(earlier, key=lambda arm: self._report.metrics[self._ttfi(arm)].median)
        return f"; {first.name}'s come first, after {self._ms(self._ttfi(first))} ms"

    def two_steps(self) -> Conclusion | None:
        """Against the student, then the whole teacher: what an app does that has both."""
        state = self._state
        final = self._than(f"time_to_final_ms.{state}", f"two_step_final_ms.{state}")
        if final.estimate is None:
            return None
        ratios = {
            "first answer": self._than(f"time_to_stage_ms.0.{state}", f"two_step_first_ms.{state}"),
            self._metric.full: final,
            "peak memory": self._than(
                f"peak_rss_mb.{PROGRESSIVE}.{state}", f"two_step_peak_rss_mb.{state}"
            ),
        }
        signs = {each.sign for each in ratios.values()} - {0}
        parts = [f"{what} {words}" for what, each in ratios.items() if (words := each.words("it"))]
        return Conclusion(
            "two steps",
            signs == {-1} if len(signs) == 1 else None,
            f"against loading the student, then the whole teacher: {', '.join(parts)}",
        )

    def memory(self) -> Conclusion | None:
        """The peak, against the rivals'."""
        progressive = f"peak_rss_mb.{PROGRESSIVE}.{self._state}"
        if progressive not in self._report.metrics:
            return None
        names = [(arm, f"peak_rss_mb.{arm.name}.{self._state}") for arm in self._rivals]
        against = [(arm, self._than(progressive, name)) for arm, name in names]
        value = f"{self._report.metrics[progressive].median:.1f} MB"
        return Conclusion(
            "memory",
            _pays(against),
            f"memory peaks at {value}{_against(against)}",
            Figure("peak memory", value, "", _known(against)),
        )

    def bytes(self) -> Conclusion:
        """What an app ships, against the rivals' programs."""
        progressive = self._report.bundle.bytes
        against = [(arm, ratio_of_sizes(progressive, arm.bytes)) for arm in self._rivals]
        return Conclusion(
            "bytes",
            _pays(against),
            f"programs have {size(progressive)}{_against(against)}",
            Figure("programs to ship", size(progressive), "", _known(against)),
        )

    def stall(self) -> Conclusion | None:
        """The worst answer while blocks load, against the worst without."""
        names = ("swap_stall", "swap_stall_quiet")
        loading, quiet = (self._report.metrics.get(name) for name in names)
        if loading is None or quiet is None:
            return None
        ratio = ComparedRatio(estimate_of_ratio(loading, quiet))
        return Conclusion(
            "stalls",
            False if ratio.sign > 0 else None,
            f"while a block loads, the worst answer takes {loading.median:.2f} times the steady "
            f"time, {quiet.median:.2f} times just before",
        )

    def doubts(self) -> Iterator[Conclusion]:
        """What a user would ship instead, each with the reason."""
        progressive = f"ttfi_ms.{PROGRESSIVE}.{self._state}"
        images, metric = counted(self._final.images, "image"), self._metric
        for arm in self._rivals:
            found = (accuracy_of(arm, self._report), self._final.top1)
            accuracy = " against ".join(metric.value(number, 1) for number in found)
            ratio = self._than(progressive, self._ttfi(arm))
            if ratio.known and ratio.sign >= 0:
                yield Conclusion(
                    f"{arm.name} alone is {metric.as_good} and answers no later",
                    False,
                    f"{arm.name} alone is {metric.as_good} as {images} tell ({accuracy}) and its "
                    "first answer is no later",
                )
            elif (
                ratio.known
                and (alone := self._report.metrics.get(self._ttfi(arm)))
                and alone.high < INSTANT_MS
            ):
                yield Conclusion(
                    f"{arm.name} alone answers at once, too",
                    False,
                    f"{arm.name} alone ({accuracy}) answers after {milliseconds(alone.median)} ms, "
                    f"which people take for at once, as anything below {INSTANT_MS} ms",
                )

    def _ttfi(self, arm: ArmFacts) -> str:
        return f"ttfi_ms.{arm.name}.{self._state}"

    def _ms(self, name: str) -> str:
        return milliseconds(self._report.metrics[name].median)

    def _than(self, numerator: str, denominator: str) -> ComparedRatio:
        """One metric over another; of nothing where one was not measured."""
        metrics = self._report.metrics
        if numerator not in metrics or denominator not in metrics:
            return ComparedRatio(None)
        return ComparedRatio(estimate_of_ratio(metrics[numerator], metrics[denominator]))


def _pays(against: Sequence[tuple[ArmFacts, ComparedRatio]]) -> bool | None:
    """Less than every rival pays, more than any does not."""
    signs = {ratio.sign for _, ratio in against}
    return True if signs == {-1} else False if 1 in signs else None


def _against(against: Sequence[tuple[ArmFacts, ComparedRatio]]) -> str:
    """The ratios in words, after a colon; nothing where nothing was compared."""
    parts = _ratios(against)
    return f": {', '.join(parts)}" if parts else ""


def _known(against: Sequence[tuple[ArmFacts, ComparedRatio]]) -> tuple[Than, ...]:
    """Those that were measured."""
    return tuple((arm.name, ratio) for arm, ratio in against if ratio.estimate is not None)


def _ratios(against: Sequence[tuple[ArmFacts, ComparedRatio]]) -> list[str]:
    """Each ratio in words."""
    return [words for arm, ratio in against if (words := ratio.words(f"{arm.name}'s"))]
