"""A climb of a report as a trace, read back by the package that defines the format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.harness.samples import Inferences, ProgressSample, StageLoad
from pipeline.report.climb import Climb, choose_climb, runs_of
from pipeline.report.metrics import metrics_of
from pipeline.report.render.perfetto import trace_of
from pipeline.report.schema import Report
from pipeline.trace import trace
from tests.report.builder import report, through
from tests.report.traces import Read, name_of, read_trace, tracks_of

ROUTES = ("SS", "TS", "TT")
#: When the process began, as seen from when the app wanted an answer; a trace counts from there.
BEGUN = -2000


def load(stage: int, begin: int, ready: int, commit: int, **more: int) -> StageLoad:
    numbers = dict.fromkeys(StageLoad.model_fields, 7)
    times = {"load_begin_ns": begin, "ready_ns": ready, "commit_ns": commit}
    memory = {"rss_kb": 1000 + stage, "peak_rss_kb": 2000 + stage}
    return StageLoad.model_validate(numbers | times | memory | {"stage": stage} | more)


def climb(state: str = "warm", slower: int = 0, **more: Any) -> ProgressSample:
    """Stage 1 is replaced before an inference runs on it; one on stage 0 goes on across the swap.

    Args:
        state: of the page cache.
        slower: by how many nanoseconds the last stage comes later.
        more: what differs.
    """
    begin = (1000, 1200, 1400, 1900 + slower)
    numbers = through(state, 3).model_dump()
    return ProgressSample.model_validate(
        numbers
        | {
            "process_to_origin_ns": -BEGUN,
            "start_ns": 1500,
            "wall_ns": 2300 + slower,
            "rss_kb": 1500,
            "peak_rss_kb": -1,
            "loads": (
                load(0, 300, 900, 0),
                load(1, 1010, 1300, 2, rss_kb=-1),
                load(2, 1305, 1600 + slower, 3, peak_rss_kb=-1, ahead_ns=0),
            ),
            "inferences": Inferences(
                begin_ns=begin,
                duration_ns=(150, 160, 350 + slower, 250),
                cpu_ns=(1, 2, 3, 4),
                stage=(0, 0, 0, 2),
            ),
        }
        | more
    )


def climbing(*rounds: Sequence[ProgressSample], paced: Sequence[ProgressSample] = ()) -> Report:
    plain = report({}, routes=ROUTES)
    rounds = tuple(tuple(samples) for samples in rounds)
    runs = plain.runs.model_copy(update={"progress": rounds, "paced": tuple(paced or [climb()])})
    metrics = metrics_of(runs, plain.stages, plain.parity, plain.bundle, ())
    update = {"runs": runs, "metrics": metrics}
    return Report.model_validate(plain.model_copy(update=update).model_dump())


def traced(sample: ProgressSample) -> dict[str, list[Read]]:
    return read_trace(trace_of(choose_climb(climbing([sample])), "tiny on Board"))


def spans(items: Sequence[Read]) -> list[tuple[str, int, int, int]]:
    """Depth, name, begin since the app wanted an answer, and duration."""
    return [
        ("  " * one.depth + one.name, one.depth, one.begin + BEGUN, one.duration) for one in items
    ]


def test_there_is_a_track_for_each_thread_of_the_process_and_for_the_stage_in_service() -> None:
    tracks = tracks_of(trace_of(choose_climb(climbing([climb()])), "tiny on Board"))
    process, *others = tracks.values()
    assert name_of(process) == "tiny on Board"
    assert {track.parent_uuid for track in others} == {process.uuid}
    assert [name_of(track) for track in others] == [
        *("serving", "loading", "stage in service", "top-1 of the stage in service"),
        *("resident memory", "highest resident memory"),
    ]
    threads = [track.thread for track in others if track.HasField("thread")]
    assert [(thread.pid, thread.tid) for thread in threads] == [
        (process.process.pid, 1),
        (process.process.pid, 2),
    ]
    units = [track.counter.unit_name for track in others if track.HasField("counter")]
    assert units == ["%", "kB", "kB"]


def test_the_serving_thread_starts_answers_and_goes_on() -> None:
    assert spans(traced(climb())["serving"]) == [
        ("process starts", 0, -2000, 1500),
        ("harness reads its plan and inputs", 0, -500, 500),
        ("first answer", 0, 0, 1150),
        ("  open bundle and engine", 1, 0, 300),
        ("  load stage 0", 1, 300, 600),
        ("  inference, stage 0", 1, 1000, 150),
        ("inference, stage 0", 0, 1200, 160),
        ("inference, stage 0", 0, 1400, 350),
        ("inference, stage 2", 0, 1900, 250),
    ]


def test_the_loading_thread_loads_and_swaps() -> None:
    assert spans(traced(climb())["loading"]) == [
        ("stage 1: TS", 0, 1010, 292),
        ("  load programs", 1, 1010, 290),
        ("  swap", 1, 1300, 2),
        ("stage 2: TT", 0, 1305, 298),
        ("  load programs", 1, 1305, 295),
        ("  swap", 1, 1600, 3),
    ]


def test_a_stage_is_in_service_until_the_next_one_is() -> None:
    assert spans(traced(climb())["stage in service"]) == [
        ("stage 0: SS", 0, 900, 402),
        ("stage 1: TS", 0, 1302, 301),
        ("stage 2: TT", 0, 1603, 697),
    ]


def test_what_the_harness_says_of_a_slice_is_beside_it() -> None:
    found = traced(climb())
    loads = [one for one in found["loading"] if one.name == "load programs"]
    assert loads[0].notes == {
        **{f"{phase}, ns": 7 for phase in ("locate", "verify", "map", "parse", "prepare")},
        "bytes": 7,
        "ahead, begin, ns": 7,
        "ahead, ns": 7,
    }
    assert "ahead, ns" not in loads[1].notes
    runs = [one.notes for one in found["serving"] if one.name.startswith("inference")]
    assert [note["CPU time of the process, ns"] for note in runs] == [1, 2, 3, 4]
    assert found["stage in service"][0].notes == {"top-1": "90.00%", "bytes loaded": 7}


def test_an_arrow_leads_from_a_swap_to_the_first_inference_begun_after_it() -> None:
    found = traced(climb())
    assert [one.begins for one in found["loading"] if one.name == "swap"] == [[1], [2]]
    ends = [one.ends for one in found["serving"] if one.name.startswith("inference")]
    assert ends == [[], [], [], [1, 2]]


def test_no_arrow_leads_back_to_an_inference_that_was_begun_before_the_swap_it_ran_after() -> None:
    begin, duration = (1000, 1200, 1400, 1900), (150, 160, 350, 250)
    runs = Inferences(begin_ns=begin, duration_ns=duration, cpu_ns=begin, stage=(0, 1, 2, 2))
    found = traced(climb(inferences=runs))
    ends = [one.ends for one in found["serving"] if one.name.startswith("inference")]
    assert ends == [[], [], [1], [2]]


def test_frames_have_a_track_that_says_which_were_missed() -> None:
    # One comes every 1000 ns. That which comes at 3000 is answered within the one after the next.
    runs = Inferences(
        begin_ns=(1000, 3000, 5400, 8000),
        duration_ns=(150, 2300, 250, 1000),
        cpu_ns=(1, 2, 3, 4),
        stage=(0, 0, 2, 2),
        frame=(1, 3, 5, 8),
    )
    sample = climb(inferences=runs, fps=1_000_000, wall_ns=9000)
    made = climbing([climb()])
    found = read_trace(trace_of(Climb("1000000fps", 0, sample, made.stages, made.metric), "x"))
    assert spans(found["frames"]) == [
        ("never answered", 0, 0, 1000),
        ("answered in time", 0, 1000, 1000),
        ("never answered", 0, 2000, 1000),
        ("answered late", 0, 3000, 1000),
        ("never answered", 0, 4000, 1000),
        ("answered in time", 0, 5000, 1000),
        ("never answered", 0, 6000, 2000),
        ("answered in time", 0, 8000, 1000),
    ]
    assert found["frames"][3].notes == {"number": 3, "answered after, ns": 2300}
    assert found["frames"][6].notes == {"frames": 2}
    assert "frames" not in traced(climb())


def test_counters_change_with_the_stage_and_leave_out_what_the_device_does_not_say() -> None:
    found = traced(climb())
    top1 = found["top-1 of the stage in service"]
    assert [one.begin + BEGUN for one in top1] == [900, 1302, 1603]
    assert [one.value for one in top1] == pytest.approx([90.0] * 3)
    memory = [(one.begin + BEGUN, one.value) for one in found["resident memory"]]
    assert memory == [(900, 1000), (1603, 1002), (2300, 1500)]
    highest = [(one.begin + BEGUN, one.value) for one in found["highest resident memory"]]
    assert highest == [(900, 2000), (1302, 2001)]


def test_the_typical_round_of_the_first_state_is_taken_unless_another_is_asked_for() -> None:
    rounds = [[climb("cold", by), climb("warm", 2 * by)] for by in (900, 300, 600)]
    ours = climbing(*rounds, paced=[climb(slower=5), climb(slower=7)])
    assert {run: [*found] for run, found in runs_of(ours).items()} == {
        "cold": [0, 1, 2],
        "warm": [0, 1, 2],
        "paced": [0, 1],
    }
    chosen = choose_climb(ours)
    assert (chosen.run, chosen.round, chosen.sample) == ("cold", 2, rounds[2][0])
    assert choose_climb(ours, "warm", 0).sample == rounds[0][1]
    assert choose_climb(ours, "paced").sample.wall_ns == 2305


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out/report.json").write_text(climbing([climb("cold"), climb()]).to_json())


def run(*words: object) -> Result:
    return CliRunner().invoke(trace, [*map(str, words)])


def test_a_trace_lies_beside_its_report_or_where_it_is_asked_for() -> None:
    done = run("out/report.json")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("out/cold-0.perfetto-trace: tiny on Board, cold, round 0, 3 st")
    assert run("out/report.json", "--run", "paced", "--round", 0, "--out", "new/x").exit_code == 0
    assert read_trace(Path("new/x").read_bytes()).keys() >= {"tiny on Board, paced, round 0"}


def test_the_same_report_gives_the_same_bytes() -> None:
    for name in ("one", "two"):
        assert run("out/report.json", "--out", name).exit_code == 0
    assert Path("one").read_bytes() == Path("two").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--run", "hot"), "name one of cold, warm, paced"),
        (("--run", "cold-cached"), "the report has no cold-cached run"),
        (("--round", "1"), "its rounds are 0 to 0"),
        (("--round", "-1"), "--round"),
        (("--out", "out/report.json"), "would overwrite what this command reads"),
        (("--out", "out"), "is a folder"),
    ],
)
def test_what_is_not_there_or_not_writable_is_wrong_usage(words: list[str], said: str) -> None:
    done = run("out/report.json", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert [path.name for path in Path("out").iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"start_ns": 2001}, "the times of serving are out of order"),
        ({"process_to_origin_ns": -5}, "the times of serving"),
        ({"process_to_origin_ns": 2**80}, "larger than any device's"),
        ({"wall_ns": 2000}, "the times of serving"),
        ({"rss_kb": 10**400}, "larger than any device's"),
        ({"loads": (load(0, 300, 1100, 0), *climb().loads[1:])}, "the times of serving"),
        ({"loads": (*climb().loads[:2], load(2, 1301, 1600, 3))}, "the times of loading"),
        ({"loads": (*climb().loads[:2], load(2, 1305, 1600, -1))}, "the times of loading"),
        ({"loads": (load(0, 300, 900, 900), *climb().loads[1:])}, "the times of the stages"),
        ({"loads": (*climb().loads[:2], load(2, 1305, 1600, 3, bytes=-(2**70)))}, "larger than"),
    ],
)
def test_times_that_no_thread_can_have_had_are_damage(more: dict[str, Any], said: str) -> None:
    Path("odd.json").write_text(climbing([climb(**more)]).to_json())
    done = run("odd.json")
    assert done.exit_code == 4, done.output
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not [*Path().glob("*.perfetto-trace")]


@pytest.mark.parametrize(("text", "code"), [("{", 4), ('{"schema_version": 2}', 2), ("{}", 4)])
def test_what_is_no_report_is_refused(text: str, code: int) -> None:
    Path("odd.json").write_text(text)
    assert run("odd.json").exit_code == code
    assert run("none.json").exit_code == 2


def test_a_report_whose_results_are_wrong_can_still_be_looked_at() -> None:
    document = json.loads(Path("out/report.json").read_text())
    document["validity"]["verdict"] = "invalid"
    Path("odd.json").write_text(json.dumps(document))
    assert run("odd.json").exit_code == 0
