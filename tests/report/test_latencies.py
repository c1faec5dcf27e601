"""What one climb says of serving, reckoned by hand."""

from __future__ import annotations

import pytest

from pipeline.harness.samples import Inferences, ProgressSample, StageLoad
from pipeline.report.latencies import (
    Missed,
    first_and_steady,
    latencies_around,
    missed_frames,
    time_to_stage_ns,
    worst_latency_ns,
)
from pipeline.report.metrics import metrics_of
from tests.report.builder import report

Frames = tuple[int, ...]
#: Frames a second: one comes every 1000 nanoseconds.
FPS = 1_000_000


def load(stage: int, begin: int, ready: int) -> StageLoad:
    zeros = dict.fromkeys(
        ("locate_ns", "verify_ns", "map_ns", "parse_ns", "prepare_ns", "bytes", "rss_kb"), 0
    )
    return StageLoad(
        stage=stage, load_begin_ns=begin, ready_ns=ready, commit_ns=1, peak_rss_kb=0, **zeros
    )


def sample(
    runs: list[tuple[int, int, int]], loads: list[StageLoad], fps: int = 0, frame: Frames = ()
) -> ProgressSample:
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
        fps=fps,
        rss_kb=0,
        peak_rss_kb=0,
        bytes_read=0,
        cache_bytes=0,
        loads=tuple(loads),
        inferences=Inferences(
            begin_ns=begin, duration_ns=duration, cpu_ns=duration, stage=stage, frame=frame
        ),
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


def served(*runs: tuple[int, int, int, int]) -> ProgressSample:
    """Each: the frame, how long after it came the inference began, how long it took, its stage."""
    timed = [(1000 * frame + after, took, stage) for frame, after, took, stage in runs]
    loads = [load(0, 0, 100), load(1, 200, 300)]
    return sample(timed, loads, FPS, tuple(frame for frame, *_ in runs))


def test_a_frame_that_is_answered_before_the_next_one_comes_is_not_missed() -> None:
    assert missed_frames(served((0, 0, 1000, 0), (1, 10, 20, 1), (2, 0, 1000, 1))) == Missed(0, 0)


def test_a_frame_that_is_answered_late_is_missed_and_one_that_nobody_took_too() -> None:
    # Frame 1 took until within frame 4; 2 and 3 were never looked at, 4 is answered late itself.
    run = served((0, 0, 500, 0), (1, 0, 3200, 0), (4, 200, 801, 0), (6, 0, 500, 1), (7, 0, 500, 1))
    assert missed_frames(run) == Missed(climbing=5, steady=0)  # 1, 2, 3, 4, 5


def test_frames_are_missed_while_the_first_answer_is_waited_for() -> None:
    assert missed_frames(served((3, 100, 100, 0), (4, 0, 10, 1))) == Missed(3, 0)


def test_what_the_last_answer_made_others_miss_is_counted() -> None:
    run = served((0, 0, 500, 0), (1, 0, 500, 1), (2, 0, 4700, 1))
    assert missed_frames(run) == Missed(0, 4)  # 2, and 3, 4, 5, which had ended; not 6


def test_what_the_first_answer_of_the_last_stage_made_others_miss_belongs_to_the_climb() -> None:
    run = served((0, 0, 500, 0), (1, 0, 2500, 1), (3, 500, 100, 1), (4, 0, 10, 1))
    assert missed_frames(run) == Missed(2, 0)  # 1 and 2


def test_frames_whose_length_is_no_whole_number_lose_none() -> None:
    third = 1_000_000_000 // 3
    run = sample(
        [(0, third, 0), (third, third, 1), (3 * third + 1, 10, 1)],
        [load(0, 0, 1), load(1, 2, 3)],
        3,
        (0, 1, 3),
    )
    assert missed_frames(run) == Missed(0, 1)  # 2


def test_the_worst_answer_is_counted_from_when_its_frame_came() -> None:
    run = served((0, 0, 500, 0), (1, 900, 400, 0), (2, 300, 600, 1))
    assert worst_latency_ns(run) == 1300
    closed = sample([(10, 5, 0), (15, 9, 1)], [load(0, 0, 10), load(1, 12, 18)])
    assert worst_latency_ns(closed) == 9


def test_the_first_inference_on_a_stage_is_compared_with_those_that_have_settled() -> None:
    stage0 = [(100 + 10 * i, 10, 0) for i in range(8)]
    stage1 = [(200, 33, 1), *((240 + 10 * i, 10 - i, 1) for i in range(8))]
    run = sample(stage0 + stage1, [load(0, 0, 100), load(1, 180, 190)])
    assert first_and_steady(run, 1) == (33, [6, 5, 4, 3])
    assert first_and_steady(run, 0) == (10, [10, 10, 10])


def test_metrics_of_frames_have_the_rate_in_their_names() -> None:
    plain = report({})
    run = served((0, 0, 500, 0), (2, 0, 1600, 1), (4, 0, 100, 1))
    stay = served(*((i, 0, 40, 0) for i in range(8)), *((8 + i, 0, 90 - i, 1) for i in range(8)))
    runs = plain.runs.model_copy(update={"served": ((run,),), "served_paced": ((stay,),)})
    found = metrics_of(runs, plain.stages, plain.parity, plain.bundle, ())
    values = {name: metric.median for name, metric in found.items() if "fps" in name}
    assert values == pytest.approx(
        {
            "time_to_stage_ms.0.1000000fps": 0.0005,
            "time_to_stage_ms.1.1000000fps": 0.0036,
            "time_to_final_ms.1000000fps": 0.0036,
            "worst_latency_ms.1000000fps": 0.0016,
            "missed_deadlines.1000000fps": 2,
            "missed_deadlines_steady.1000000fps": 1,
            "first_after_swap_ms.1.1000000fps": 0.00009,
            "first_after_swap_over_steady.1.1000000fps": 90 / 84,
            "first_after_swap_over_steady.worst.1000000fps": 90 / 84,
        }
    )
    assert found["missed_deadlines.1000000fps"].unit == "frames"


@pytest.mark.parametrize(
    ("begin", "frame", "said"),
    [
        ((0, 1000), (0,), "not another, later frame for each inference"),
        ((0, 1000), (0, 0), "not another, later frame for each inference"),
        ((0, 1000), (1, 0), "not another, later frame for each inference"),
        ((0, 999), (0, 1), "a frame was answered before it came"),
    ],
)
def test_frames_that_cannot_have_been_answered_so_are_refused(
    begin: tuple[int, int], frame: Frames, said: str
) -> None:
    runs = [(begin[0], 10, 0), (begin[1], 10, 1)]
    with pytest.raises(ValueError, match=said):
        sample(runs, [load(0, 0, 1), load(1, 2, 3)], FPS, frame)
    with pytest.raises(ValueError, match="none came"):
        sample(runs, [load(0, 0, 1), load(1, 2, 3)], 0, (0, 1))
