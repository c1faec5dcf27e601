"""What a campaign runs, runs again, and does where a device is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.errors import DeviceError
from pipeline.core.progress import Progress, Silent
from pipeline.harness import contention
from pipeline.harness.campaign import Campaign, CampaignOptions, run_campaigns
from pipeline.harness.evaluated_images import images_in_time
from pipeline.harness.memory_sample import MemorySample, MemoryStep
from pipeline.harness.samples import (
    Dropping,
    Info,
    LatencySample,
    ProgressSample,
    TtfiSample,
)
from pipeline.harness.session import NotColdError
from tests.report.builder import HARNESS, start, through
from tests.said_lines import SaidLines

SMALL = CampaignOptions(rounds=4, states=("cold", "warm"), paced=2, latency_runs=1)
#: Starts of three arms, runs through all stages and in two steps, in two states and four rounds;
#: paced; latency.
RUNS = 4 * 2 * 5 + 2 + 1


class Session:
    """A harness whose runs wait for processors as a test says, one after the other.

    Args:
        waits: wall over CPU time of each run; 1 when they are used up.
        cold: ways in which files leave the page cache here.
    """

    deployment = SimpleNamespace(
        arms=("student", "teacher"),
        two_step=object(),
        stages=3,
        golden_images=2,
        evaluation_images=1000,
        judged_by="label",
    )

    def __init__(self, waits: Sequence[int] = (), cold: Sequence[Dropping] = ("eviction",)) -> None:
        self.dropping: Dropping = "property"
        self.runs = 0
        self._waits, self._cold = list(waits), cold
        self._warmed_up = False
        self.evaluated = 0

    def info(self) -> Info:
        return Info.model_validate(HARNESS)

    def parity(self) -> list[Any]:
        return []

    def accuracy(self, images: int) -> list[Any]:
        self.evaluated = images
        return []

    def ttfi(self, arm: str, state: str, inferences: int) -> TtfiSample:
        if state == "cold" and self.dropping not in self._cold:
            raise NotColdError(f"{self.dropping} fails")
        if inferences == 0:  # only to see whether cold starts can be had
            return start(arm, state)
        return start(arm, state).model_copy(update={"steady_ns": (self._wait(),)})

    def progress(self, state: str, inferences: int, hold: int = 0, fps: int = 0) -> ProgressSample:
        return self._climbed(state, 3, hold=hold, fps=fps)

    def two_step(self, state: str, inferences: int) -> ProgressSample:
        return self._climbed(state, 2)

    def memory(self, arm: str) -> MemorySample:
        step = dict.fromkeys(MemoryStep.model_fields, 1) | {"step": "begin", "unit": ""}
        return MemorySample.model_validate({"arm": arm, "steps": (step,)})

    def latency(self, rounds: int) -> list[LatencySample]:
        return [LatencySample(name="stage-0", steady_ns=(self._wait(),), steady_cpu_ns=(1,))]

    def _climbed(self, state: str, stages: int, **update: int) -> ProgressSample:
        wait, run = self._wait(), through(state, stages)
        durations = (*run.inferences.duration_ns[:-1], wait)
        runs = run.inferences.model_copy(update={"duration_ns": durations})
        return run.model_copy(update={"inferences": runs, "wall_ns": wait, **update})

    def _wait(self) -> int:
        self.runs += 1
        # The round that is thrown away.
        return self._waits.pop(0) if self.runs > 10 and self._waits else 1


class Watch:
    def __init__(self) -> None:
        self.rounds = 0
        self.reasons: list[str] = []

    def between_rounds(self) -> None:
        self.rounds += 1

    def not_cold(self, reason: str) -> None:
        self.reasons.append(reason)


def campaign(
    session: Session,
    watch: Watch | None = None,
    options: CampaignOptions = SMALL,
    progress: Progress | None = None,
) -> Campaign:
    typed: Any = session
    return run_campaigns([typed], options, progress or Silent(), watch or Watch())[0]


def test_undisturbed_runs_are_run_once() -> None:
    session = Session()
    found = campaign(session)
    assert session.runs == 10 + RUNS
    assert found.rejected == []
    assert len(found.ttfi) == len(found.progress) == 4
    assert [sorted(one.state for one in each) for each in found.two_step] == [["cold", "warm"]] * 4
    assert all(len(one.loads) == 2 for each in found.two_step for one in each)
    assert len(found.paced) == 2
    assert [[one.arm for one in each] for each in found.memory] == [
        ["pwl", "student", "teacher"]
    ] * 2


@pytest.mark.parametrize(
    ("parity_s", "images"), [(0.01, 1000), (0.4, 1000), (0.401, 512), (1, 256), (60, 4), (9000, 1)]
)
def test_an_evaluation_is_bounded_in_time(parity_s: float, images: int) -> None:
    # Ten answers in parity, three stages to evaluate: 0.4 s are 0.12 s an image.
    assert images_in_time(Session.deployment, parity_s) == images


def test_a_device_that_is_too_slow_for_all_images_labels_some_and_that_is_said() -> None:
    said = SaidLines()
    session = Session()
    many = 10**15  # more than the parity of no program at all leaves time for
    session.deployment = SimpleNamespace(**vars(Session.deployment) | {"evaluation_images": many})
    campaign(session, progress=said)
    assert 0 < session.evaluated < many
    assert said.lines == [
        f"accuracy of the first {session.evaluated} of {many} evaluation images: all of them would "
        "take longer than 120 s"
    ]


def test_what_has_no_student_and_teacher_is_not_loaded_in_two_steps() -> None:
    session = Session()
    others = vars(Session.deployment) | {"arms": ("student",), "two_step": None}
    session.deployment = SimpleNamespace(**others)
    assert campaign(session).two_step == []


def test_stages_are_gone_through_at_every_frame_rate_too() -> None:
    options = SMALL.model_copy(update={"fps": (30, 60), "frames": 7})
    session = Session()
    found = campaign(session, options=options)
    assert session.runs == 10 + RUNS + 2 * (4 + 2)  # none more in the round that is thrown away
    assert [sorted((one.fps, one.hold) for one in each) for each in found.served] == (
        [[(30, 0), (60, 0)]] * 4
    )
    assert [[(one.fps, one.hold) for one in each] for each in found.served_paced] == (
        [[(30, 7), (60, 7)]] * 2
    )
    assert all(one.fps == 0 for each in (*found.progress, found.paced) for one in each)


def test_a_run_that_waits_for_frames_does_not_wait_for_processors() -> None:
    run = through("warm", 3).model_copy(update={"wall_ns": 50})
    assert contention.of_progress(run) == 50
    assert contention.of_progress(run.model_copy(update={"fps": 30})) <= 1


def test_a_run_that_waited_is_kept_aside_and_run_again() -> None:
    session = Session([7])
    found = campaign(session)
    assert session.runs == 10 + RUNS + 1
    (rejected,) = found.rejected
    assert (rejected.round, rejected.wall_over_cpu) == (0, 7.0)
    assert contention.of_rejected(rejected) == 7.0
    kept = [sample for samples in found.ttfi for sample in samples]
    assert max(contention.of_start(sample) for sample in kept) == 1


def test_of_several_that_waited_the_least_disturbed_one_stays() -> None:
    found = campaign(Session([5, 9, 3]))
    first = [*(contention.of_start(one) for one in found.ttfi[0])]
    first += [contention.of_progress(one) for one in (*found.progress[0], *found.two_step[0])]
    assert sorted(first)[-1] == 3
    assert [run.wall_over_cpu for run in found.rejected] == [9.0, 5.0]


def test_repeats_are_bounded_where_everything_waits() -> None:
    session = Session([9] * 1000)
    found = campaign(session)
    assert len(found.rejected) == contention.repeats(RUNS)
    assert session.runs == 10 + RUNS + contention.repeats(RUNS)


@pytest.mark.parametrize("turn", [RUNS - 3, RUNS - 2, RUNS - 1])
def test_paced_runs_and_latencies_are_run_again_too(turn: int) -> None:
    found = campaign(Session([*([1] * turn), 2]))
    (rejected,) = found.rejected
    assert (rejected.progress is not None) or rejected.latency
    assert contention.of_rejected(rejected) == 2.0


def test_a_wait_for_storage_is_none_for_processors() -> None:
    cold = start("pwl", "cold").model_copy(update={"ttfi_ns": 50})
    assert contention.of_start(cold) == 1
    assert contention.of_start(cold.model_copy(update={"state": "warm"})) == 50
    run = through("cold", 3).model_copy(update={"wall_ns": 50})
    assert contention.of_progress(run) <= 1


def test_a_device_that_counts_no_cpu_time_rejects_nothing() -> None:
    sample = start("pwl", "warm").model_copy(update={"steady_cpu_ns": (0,), "ttfi_cpu_ns": 0})
    assert contention.of_start(sample) == 0


def test_the_device_is_looked_at_after_every_round() -> None:
    watch = Watch()
    campaign(Session(), watch)
    assert watch.rounds == 1 + 4 + 2


def test_a_system_that_keeps_its_cache_may_let_go_of_our_files() -> None:
    session, watch = Session(), Watch()
    found = campaign(session, watch)
    assert session.dropping == "eviction"
    assert watch.reasons == []
    assert {sample.state for sample in found.ttfi[0]} == {"cold", "warm"}


def test_a_system_that_drops_its_cache_goes_on_doing_so() -> None:
    session = Session(cold=("property",))
    campaign(session)
    assert session.dropping == "property"


def test_without_cold_starts_warm_ones_are_measured_where_that_is_allowed() -> None:
    watch = Watch()
    found = campaign(Session(cold=()), watch)
    assert watch.reasons == ["eviction fails"]
    assert {sample.state for sample in found.ttfi[0]} == {"warm"}


def test_and_nothing_is_measured_where_it_is_not() -> None:
    class Strict(Watch):
        def not_cold(self, reason: str) -> None:
            raise DeviceError(reason)

    session = Session(cold=())
    with pytest.raises(DeviceError):
        campaign(session, Strict())
    assert session.runs == 0
