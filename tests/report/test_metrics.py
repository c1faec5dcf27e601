from __future__ import annotations

from statistics import median

from pipeline.harness.samples import Inferences, ProgressSample, StageLoad
from pipeline.report.metric_samples import latencies_around, time_to_stage_ns
from pipeline.report.metrics import ratio_of
from pipeline.report.schema import Metric


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
        hold=0,
        rss_kb=0,
        peak_rss_kb=0,
        bytes_read=0,
        cache_bytes=0,
        loads=tuple(loads),
        inferences=Inferences(begin_ns=begin, duration_ns=duration, stage=stage),
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


def test_a_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    metrics = {"a": metric({0: 1, 1: 2, 2: 30}), "b": metric({0: 2, 1: 4, 2: 10, 3: 1})}
    ratio = ratio_of(metrics, "a", "b")
    assert ratio is not None
    assert (ratio.median, ratio.rounds) == (0.5, 3)


def test_no_ratio_is_made_up() -> None:
    metrics = {"a": metric({0: 1}), "b": metric({1: 2})}
    assert ratio_of(metrics, "a", "b") is None
    assert ratio_of(metrics, "a", "c") is None
