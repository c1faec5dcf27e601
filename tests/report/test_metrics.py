from __future__ import annotations

from statistics import median

from pipeline.harness.samples import Inferences, ProgressSample, StageLoad
from pipeline.report.metric_samples import latencies_around, time_to_stage_ns
from pipeline.report.ratios import ratio_words, ratios_of
from pipeline.report.schema import ArmFacts, Metric


def load(stage: int, begin: int, ready: int) -> StageLoad:
    zeros = dict.fromkeys(
        ("locate_ns", "verify_ns", "map_ns", "parse_ns", "prepare_ns", "bytes", "rss_kb"), 0
    )
    return StageLoad(
        stage=stage, load_begin_ns=begin, ready_ns=ready, commit_ns=1, peak_rss_kb=0, **zeros
    )


def sample(runs: list[tuple[int, int, int]], loads: list[StageLoad]) -> ProgressSample:
    begin, duration, stage = zip(*runs, strict=True)
    return ProgressSample(
        state="warm",
        pages=1,
        resident_pages=1,
        process_to_origin_ns=0,
        start_ns=0,
        wall_ns=1,
        cpu_ns=1,
        hold=0,
        rss_kb=0,
        peak_rss_kb=0,
        bytes_read=0,
        cache_bytes=0,
        loads=tuple(loads),
        inferences=Inferences(begin_ns=begin, duration_ns=duration, cpu_ns=duration, stage=stage),
    )


def test_a_stage_is_reached_when_its_first_answer_is_there() -> None:
    run = sample([(10, 5, 0), (15, 5, 0), (20, 8, 1)], [load(0, 0, 10), load(1, 12, 18)])
    assert time_to_stage_ns(run, 0) == 15
    assert time_to_stage_ns(run, 1) == 28


def test_a_stage_that_no_inference_ran_on_is_reached_with_the_next() -> None:
    run = sample([(10, 5, 0), (15, 8, 2)], [load(0, 0, 9), load(1, 10, 11), load(2, 12, 13)])
    assert time_to_stage_ns(run, 1) == 23


def test_latencies_split_at_the_load_and_leave_out_what_has_not_settled() -> None:
    before = [(100 + 10 * i, 10, 0) for i in range(8)]  # the last ends at 180
    during = [(180, 10, 0), (190, 40, 0)]
    after = [(230, 10, 0), (240, 10, 1)]
    run = sample(before + during + after, [load(0, 0, 100), load(1, 185, 225)])
    steady, loading = latencies_around(run, 1)
    assert steady == [10, 10, 10]
    assert loading == [10, 40]


def metric(samples: dict[int, float]) -> Metric:
    return Metric(
        unit="ms",
        samples=tuple(samples.values()),
        rounds=tuple(samples),
        median=median(samples.values()),
        low=min(samples.values()),
        high=max(samples.values()),
    )


def arm(name: str, route: str) -> ArmFacts:
    return ArmFacts(name=name, route=route, precision="fp32", bytes=1, host_top1=0.5)


def test_a_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    metrics = {
        "ttfi_ms.pwl.warm": metric({0: 1, 1: 2, 2: 30}),
        "ttfi_ms.student.warm": metric({0: 2, 1: 4, 2: 10, 3: 1}),
    }
    (ratio,) = ratios_of(metrics, [arm("student", "SS")], ["SS", "TT"]).values()
    assert (ratio.median, ratio.rounds) == (0.5, 3)


def test_no_ratio_is_made_up() -> None:
    metrics = {
        "ttfi_ms.pwl.warm": metric({0: 1}),
        "ttfi_ms.student.warm": metric({1: 2}),
        "process_ms.pwl.warm": metric({0: 1}),
    }
    assert ratios_of(metrics, [arm("student", "TT")], ["SS", "TT"]) == {}


def test_an_arm_is_compared_with_the_stage_that_answers_as_it_does() -> None:
    kinds = ("ttfi_ms", "process_ms", "peak_rss_mb")
    arms = [arm("student", "SS"), arm("teacher", "TT"), arm("half", "TS"), arm("odd", "ST")]
    one = metric({0: 1.0})
    metrics = {f"{kind}.{a}.warm": one for kind in kinds for a in ("pwl", *(x.name for x in arms))}
    metrics |= {f"time_to_stage_ms.{stage}.warm": one for stage in range(3)}
    names = (*(f"stage-{stage}" for stage in range(3)), *(x.name for x in arms))
    metrics |= {f"latency_ms.{name}": one for name in names}
    found = ratios_of(metrics, arms, ["SS", "TS", "TT"])
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


def test_ratios_have_words() -> None:
    assert ratio_words("ttfi_over_half.cold") == ("first answer: progressive / half alone", "cold")
    assert ratio_words("final_over_teacher_ttfi.warm") == (
        "final stage reached / teacher's first answer",
        "warm",
    )
    assert ratio_words("latency_stage1_over_half") == ("steady latency: stage 1 / half alone", "")
