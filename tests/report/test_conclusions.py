"""Whether loading progressively pays, from reports whose numbers are made by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.report.conclusions import Conclusions, conclusions_of
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateVerdict, judge
from pipeline.report.render.html import report_page
from pipeline.report.render.tables import report_tables
from pipeline.report.render.terminal import table_console
from pipeline.report.schema import ArmFacts, Report
from tests.report.builder import ARMS, around, judged_by_cosine, measured, metric, report

#: A student of 60 % and a teacher of 90 %, as the stages of the builder's reports have them.
STUDENT = {**ARMS[0], "host_top1": 0.6}
TEACHER8 = {**ARMS[1], "name": "teacher8", "precision": "static_wi8_ai8", "host_top1": 0.89}
#: Milliseconds and MB of a teacher that is worth replacing.
WORTH = {
    "ttfi_ms.pwl.cold": 20,
    "ttfi_ms.student.cold": 18,
    "ttfi_ms.teacher.cold": 400,
    "time_to_final_ms.cold": 380,
    "peak_rss_mb.pwl.cold": 90,
    "peak_rss_mb.teacher.cold": 100,
}


def of(
    values: Mapping[str, float], *arms: Mapping[str, Any], count: int = 15, **more: Any
) -> Report:
    """A report whose first stage is 60 % accurate."""
    metrics = {name: metric(around(value, count=count)) for name, value in values.items()}
    made = report(metrics, **more)
    first = made.stages[0].model_copy(update={"top1": 0.6, "low": 0.57, "high": 0.63})
    every = tuple(ArmFacts.model_validate(arm) for arm in (STUDENT, ARMS[1], *arms))
    bundle = made.bundle.model_copy(update={"arms": every, "bytes": 3})
    return made.model_copy(update={"bundle": bundle, "stages": (first, *made.stages[1:])})


def signs(found: Conclusions) -> dict[str, str]:
    return {sentence.text.split(":")[0]: sentence.sign for sentence in found.sentences}


@pytest.mark.parametrize(
    ("values", "count", "verdict", "said"),
    [
        (WORTH, 15, GateVerdict.PASS, "at least 1: Loading progressively pays here"),
        ({**WORTH, "ttfi_ms.pwl.cold": 500}, 15, GateVerdict.REGRESSION, "at least 1: Loading"),
        (WORTH, 3, GateVerdict.ERROR, "Too few rounds tell whether it pays"),
    ],
)
def test_a_gate_may_ask_for_it(
    values: Mapping[str, float], count: int, verdict: GateVerdict, said: str
) -> None:
    gate = Gate(name="it pays", metric="pays", at_least=1)
    (result,) = judge(GateFile(gate=(gate,)), of(values, count=count), None)
    assert (result.metric, result.verdict) == ("pays", verdict)
    assert result.why.startswith(said)


def test_a_teacher_that_is_late_is_worth_replacing() -> None:
    found = conclusions_of(of(WORTH))
    assert found.sum == "Loading progressively pays here: the first answer comes earlier."
    assert [(row.sign, row.text) for row in found.sentences] == [
        (
            "+",
            "cold start: the first answer is there after 20.0 ms, 60.0% accurate: "
            "1.11 of student's, 0.05 of teacher's",
        ),
        ("+", "answers of full accuracy, 90.0%, begin after 380.0 ms: 0.95 of teacher's"),
        ("+", "memory peaks at 90.0 MB: 0.90 of teacher's"),
        ("-", "programs have 3 B: 3.00 of teacher's"),
    ]


@pytest.mark.parametrize(
    ("final", "peak", "said", "sign"),
    [
        (400, 100, "first answer 1.00 of it (not told apart), full accuracy 0.95 of it, peak", "+"),
        (350, 80, "full accuracy 1.09 of it, peak memory 1.12 of it", "-"),
        (350, 100, "full accuracy 1.09 of it, peak memory 0.90 of it", "="),
    ],
)
def test_two_steps_are_what_else_an_app_could_do(
    final: float, peak: float, said: str, sign: str
) -> None:
    steps = {"first_ms": 20, "final_ms": final, "peak_rss_mb": peak}
    values = {f"two_step_{name}.cold": value for name, value in steps.items()}
    found = conclusions_of(of({**WORTH, "time_to_stage_ms.0.cold": 20} | values))
    (row,) = (row for row in found.sentences if "then the whole teacher" in row.text)
    assert said in row.text
    assert row.sign == sign


@pytest.mark.parametrize(
    ("changes", "text", "sign"),
    [
        ({"time_to_final_ms.cold": 460}, "1.15 of teacher's; teacher's come first, after", "-"),
        ({"time_to_final_ms.cold": 400}, "1.00 of teacher's (not told apart)", "="),
        ({"peak_rss_mb.pwl.cold": 130}, "1.30 of teacher's", "-"),
        ({"swap_stall": 2, "swap_stall_quiet": 1.1}, "takes 2.00 times the steady time", "-"),
        ({"swap_stall": 1.1, "swap_stall_quiet": 1.1}, "takes 1.10 times the steady time", "="),
    ],
)
def test_what_it_costs_is_said(changes: Mapping[str, float], text: str, sign: str) -> None:
    found = conclusions_of(of(WORTH | changes))
    assert [row.sign for row in found.sentences if text in row.text] == [sign]
    assert found.sum.startswith("Loading progressively pays here")


def test_what_is_accurate_first_is_named() -> None:
    chain = {**ARMS[1], "name": "chain"}
    found = conclusions_of(of(WORTH | {"ttfi_ms.chain.cold": 200}, chain))
    assert found.sentences[1].text == (
        "answers of full accuracy, 90.0%, begin after 380.0 ms: 0.95 of teacher's, "
        "1.90 of chain's; chain's come first, after 200.0 ms"
    )
    assert found.sentences[1].sign == "-"


def test_a_small_teacher_that_is_as_accurate_and_as_early_would_do() -> None:
    found = conclusions_of(of(WORTH | {"ttfi_ms.teacher8.cold": 20}, TEACHER8))
    assert found.sum == (
        "Loading progressively does not pay here: "
        "teacher8 alone is as accurate and answers no later."
    )
    assert found.sentences[0].pays is None
    assert found.sentences[-1].text == (
        "teacher8 alone is as accurate as 1000 images tell (89.0% against 90.0%) and its first "
        "answer is no later"
    )


def test_a_small_teacher_that_is_less_accurate_is_no_rival() -> None:
    worse = {**TEACHER8, "route": "TS", "host_top1": 0.8}
    found = conclusions_of(of(WORTH | {"ttfi_ms.teacher8.cold": 20}, worse))
    assert found.sum.startswith("Loading progressively pays here")
    assert "1.00 of teacher8's (not told apart)" in found.sentences[0].text


def test_a_student_as_accurate_as_the_teacher_would_do_alone() -> None:
    made = of(WORTH)
    first = made.stages[0].model_copy(update={"top1": 0.89, "low": 0.87, "high": 0.91})
    made = made.model_copy(update={"stages": (first, *made.stages[1:])})
    assert conclusions_of(made).sum.endswith(
        "does not pay here: student alone is as accurate and answers no later."
    )


def test_a_teacher_that_answers_at_once_needs_no_student() -> None:
    found = conclusions_of(of(WORTH | {"ttfi_ms.teacher.cold": 52}))
    assert (
        found.sum == "Loading progressively does not pay here: teacher alone answers at once, too."
    )
    assert found.sentences[0].pays is True  # 20 ms are earlier, and nobody sees it
    assert "answers after 52.0 ms" in found.sentences[-1].text


def test_few_rounds_tell_nothing_apart() -> None:
    found = conclusions_of(of(WORTH, count=5))
    assert set(signs(found).values()) == {"=", "-"}  # bytes alone are no samples
    assert found.sum == "Too few rounds tell whether it pays: 6 are needed."


def test_wrong_results_conclude_nothing_and_suspect_ones_are_said_to_be() -> None:
    assert conclusions_of(of(WORTH, verdict="invalid")).sentences == ()
    assert conclusions_of(of({})).sum.startswith("Nothing is concluded")
    assert "as far as suspect numbers tell" in conclusions_of(of(WORTH, verdict="suspect")).sum


def test_table_and_page_begin_with_it() -> None:
    made = measured(900, 900)
    found = conclusions_of(made)
    console = table_console()
    with console.capture() as captured:
        console.print(report_tables(made))
    text, page = captured.get(), report_page(made)
    for said in (found.sum, *(row.text for row in found.sentences)):
        assert " ".join(said.split()) in " ".join(text.split())
        assert said.replace("'", "&#39;") in page
    assert page.index(found.sum) < page.index("Top-1 accuracy over time")


def test_of_embeddings_a_mean_cosine_is_said_and_no_accuracy() -> None:
    found = judged_by_cosine(measured(900, 900))
    texts = [text for row in conclusions_of(found).sentences for text in (row.text, row.about)]
    page = report_page(found)
    (first,) = (text for text in texts if "the first answer is there" in text)
    assert "mean cosine to the teacher 1.000" in first
    assert ">Mean cosine to the teacher over time<" in page
    assert not [text for text in texts if "accura" in text]
    assert "accura" not in re.sub(r"<script.*", "", page, flags=re.DOTALL).replace(
        "accuracy_", ""
    ).replace('"accuracy.', "")
