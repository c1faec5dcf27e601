from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pipeline.report.ratios import ratio_words, ratios_of
from pipeline.report.schema import ArmFacts, Metric, StagePrecision, StageResult
from tests.report.builder import stage


def metric(samples: dict[int, float]) -> Metric:
    return Metric(
        unit="ms",
        samples=tuple(samples.values()),
        rounds=tuple(samples),
        median=median(samples.values()),
        low=min(samples.values()),
        high=max(samples.values()),
    )


def arm(name: str, route: str, precision: str = "fp32") -> ArmFacts:
    return ArmFacts(name=name, route=route, precision=precision, bytes=1, host_top1=0.5)


def stages(*routes: str, precisions: Sequence[StagePrecision | None] = ()) -> list[StageResult]:
    """Those of some routes, in float32 unless another precision is named for each."""
    each = precisions or ["fp32"] * len(routes)
    return [
        stage(index, route).model_copy(update={"precision": precision})
        for index, (route, precision) in enumerate(zip(routes, each, strict=True))
    ]


def test_a_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    metrics = {
        "ttfi_ms.pwl.warm": metric({0: 1, 1: 2, 2: 30}),
        "ttfi_ms.student.warm": metric({0: 2, 1: 4, 2: 10, 3: 1}),
    }
    (ratio,) = ratios_of(metrics, [arm("student", "SS")], stages("SS", "TT")).values()
    assert (ratio.median, ratio.rounds) == (0.5, 3)


def test_no_ratio_is_made_up() -> None:
    metrics = {
        "ttfi_ms.pwl.warm": metric({0: 1}),
        "ttfi_ms.student.warm": metric({1: 2}),
        "process_ms.pwl.warm": metric({0: 1}),
    }
    assert ratios_of(metrics, [arm("student", "TT")], stages("SS", "TT")) == {}


def test_an_arm_is_compared_with_the_stage_that_answers_as_it_does() -> None:
    kinds = ("ttfi_ms", "process_ms", "peak_rss_mb")
    arms = [arm("student", "SS"), arm("teacher", "TT"), arm("half", "TS"), arm("odd", "ST")]
    one = metric({0: 1.0})
    metrics = {f"{kind}.{a}.warm": one for kind in kinds for a in ("pwl", *(x.name for x in arms))}
    metrics |= {f"time_to_stage_ms.{stage}.warm": one for stage in range(3)}
    names = (*(f"stage-{stage}" for stage in range(3)), *(x.name for x in arms))
    metrics |= {f"latency_ms.{name}": one for name in names}
    found = ratios_of(metrics, arms, stages("SS", "TS", "TT"))
    assert {name for name in found if "student" in name} == {
        "ttfi_over_student.warm",
        "latency_stage0_over_student",
    }
    assert {name for name in found if "teacher" in name} == {
        "ttfi_over_teacher.warm",
        "process_over_teacher.warm",
        "peak_rss_over_teacher.warm",
        "final_over_teacher_ttfi.warm",
        "latency_final_over_teacher",
    }
    assert found["stage1_over_half_ttfi.warm"].numerator == "time_to_stage_ms.1.warm"
    assert found["latency_stage1_over_half"].numerator == "latency_ms.stage-1"
    assert {name for name in found if "odd" in name} == {
        f"{kind}_over_odd.warm" for kind in ("ttfi", "process", "peak_rss")
    }


def test_where_frames_come_a_stage_is_compared_with_the_warm_first_answer_of_its_arm() -> None:
    metrics = {
        "missed_deadlines.30fps": metric({0: 0}),
        "time_to_stage_ms.1.30fps": metric({0: 6, 1: 8}),
        "ttfi_ms.teacher.warm": metric({0: 3, 1: 4}),
        "ttfi_ms.teacher.cold": metric({0: 1, 1: 1}),
    }
    arms = [arm("student", "SS"), arm("teacher", "TT"), arm("odd", "ST")]
    (found,) = ratios_of(metrics, arms, stages("SS", "TT")).items()
    assert found[0] == "final_over_teacher_ttfi.30fps"
    assert found[1].median == 2
    assert ratio_words(found[0]) == ("final stage reached / teacher's first answer", "30fps")


def test_an_arm_is_compared_with_the_stage_of_its_own_precision() -> None:
    arms = [
        *(arm("student", "SS"), arm("teacher", "TT"), arm("half", "TS")),
        *(arm("student8", "SS", "static_wi8_ai8"), arm("teacher8", "TT", "dynamic_wi8_afp32")),
    ]
    one = metric({0: 1.0})
    metrics = {f"ttfi_ms.{each.name}.warm": one for each in arms}
    metrics |= {f"latency_ms.{each.name}": one for each in arms}
    for index in range(4):
        metrics |= {f"time_to_stage_ms.{index}.{how}": one for how in ("warm", "30fps")}
        metrics |= {f"latency_ms.stage-{index}": one, "missed_deadlines.30fps": one}
    ladder = stages("SS", "TS", "tt", "TT", precisions=["int8", "mixed", "int8", "fp32"])
    assert set(ratios_of(metrics, arms, ladder)) == {
        "latency_stage0_over_student8",
        *(f"stage2_over_teacher8_ttfi.{how}" for how in ("warm", "30fps")),
        "latency_stage2_over_teacher8",
        *(f"final_over_teacher_ttfi.{how}" for how in ("warm", "30fps")),
        "latency_final_over_teacher",
    }


def test_a_stage_of_an_older_report_counts_as_float32() -> None:
    arms = [arm("teacher", "TT"), arm("teacher8", "TT", "dynamic_wi8_afp32")]
    metrics = {
        f"latency_ms.{name}": metric({0: 1.0}) for name in ("stage-1", "teacher", "teacher8")
    }
    old = stages("SS", "TT", precisions=[None, None])
    assert set(ratios_of(metrics, arms, old)) == {"latency_final_over_teacher"}


def test_ratios_have_words() -> None:
    assert ratio_words("ttfi_over_half.cold") == ("first answer: progressive / half alone", "cold")
    assert ratio_words("final_over_teacher_ttfi.warm") == (
        "final stage reached / teacher's first answer",
        "warm",
    )
    assert ratio_words("latency_stage1_over_half") == ("steady latency: stage 1 / half alone", "")
