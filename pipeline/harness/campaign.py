"""A campaign: all measurements of one report, interleaved so that drift hits every arm alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Protocol

from pydantic import Field

from pipeline.core.progress import Progress
from pipeline.core.toml_file import Section
from pipeline.harness import contention
from pipeline.harness.contention import Repeater
from pipeline.harness.embedding_cosines import EmbeddingCosines
from pipeline.harness.evaluated_images import images_in_time, say_if_fewer
from pipeline.harness.judged_answers import judge_answers
from pipeline.harness.map_counts import MapCounts
from pipeline.harness.memory_sample import MemorySample
from pipeline.harness.samples import (
    MOST_FPS,
    Info,
    LatencySample,
    Logits,
    Predictions,
    ProgressSample,
    Rejected,
    State,
    TtfiSample,
)
from pipeline.harness.session import HarnessSession, NotColdError
from pipeline.settings import PROGRESSIVE, TWO_STEP


class CampaignOptions(Section):
    """How much is measured.

    Attributes:
        rounds: samples of every arm in every start state.
        states: start states.
        seed: of the order within each round.
        steady: inferences after the first one of a start, and after the last swap.
        hold: inferences at each stage of a paced run, before the next stage is loaded.
        paced: how many paced runs.
        latency_runs: processes that take steady latencies in turns.
        latency_rounds: turns in each of them.
        fps: frame rates at which stages are gone through, too; see `docs/serving.md`.
        frames: frames at each stage of a paced run at a rate, and after the last swap.
        memory_runs: processes of each arm that tell what its memory is made of; as many as rounds
            at most.
    """

    rounds: int = 15
    states: tuple[State, ...] = ("cold", "warm")
    seed: int = 0
    steady: int = 20
    hold: int = 40
    paced: int = 9
    latency_runs: int = 9
    latency_rounds: int = 25
    fps: tuple[Annotated[int, Field(ge=1, le=MOST_FPS)], ...] = ()
    frames: int = 12
    memory_runs: int = 3


class RoundWatch(Protocol):
    """Who looks at the device meanwhile."""

    def between_rounds(self) -> None:
        """A round is over, and the next one may be waited with."""
        ...

    def not_cold(self, reason: str) -> None:
        """No cold starts can be had; an exception ends the campaign."""
        ...


@dataclass(slots=True)
class Campaign:
    """Everything that was measured; lists of rounds, in the order in which they were run.

    Attributes:
        evaluated: how many evaluation images every stage was asked to label; 0: all of them.
    """

    info: Info
    evaluated: int = 0
    ttfi: list[list[TtfiSample]] = field(default_factory=list)
    progress: list[list[ProgressSample]] = field(default_factory=list)
    paced: list[ProgressSample] = field(default_factory=list)
    latency: list[list[LatencySample]] = field(default_factory=list)
    predictions: list[Predictions] = field(default_factory=list)
    maps: list[MapCounts] = field(default_factory=list)
    embeddings: list[EmbeddingCosines] = field(default_factory=list)
    logits: list[Logits] = field(default_factory=list)
    served: list[list[ProgressSample]] = field(default_factory=list)
    served_paced: list[list[ProgressSample]] = field(default_factory=list)
    memory: list[list[MemorySample]] = field(default_factory=list)
    two_step: list[list[ProgressSample]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def run_campaigns(
    sessions: Sequence[HarnessSession],
    options: CampaignOptions,
    progress: Progress,
    watch: RoundWatch,
) -> list[Campaign]:
    """Runs a whole campaign of each session, all in one: every round is a round of each.

    Correctness comes first: a device that computes wrong logits is not worth timing. One round is
    run and thrown away, so that the first measured one finds the device as every other does. Runs
    that waited for processors are run again; see `pipeline.harness.contention`.

    Raises:
        IntegrityError: the harness refuses a file.
        DeviceError: the device failed.
    """
    pairs = [(session, Campaign(session.info())) for session in sessions]
    with progress.task("parity and accuracy", total=2 * len(pairs)) as task:
        for session, campaign in pairs:
            begin = time.monotonic()
            campaign.logits = session.parity()
            task.advance(1)
            campaign.evaluated = images_in_time(session.deployment, time.monotonic() - begin)
            say_if_fewer(campaign.evaluated, session.deployment.evaluation_images, progress)
            judge_answers(session, campaign)
            task.advance(1)
    states = _possible_states(sessions, options.states, watch)
    for session, _ in pairs:
        if "cold-cached" in states:
            session.install()
    order = random.Random(options.seed)
    turns = [_Turns(session, campaign, states, options, order) for session, campaign in pairs]
    with progress.task("starts", total=sum(one.starts for one in turns)) as task:
        for number in range(-1, options.rounds):
            for one in _shuffled(turns, order):
                one.start(number)
                task.advance(one.starts_in_round, f"round {number + 1}/{options.rounds}")
            watch.between_rounds()
    total = (options.paced + options.latency_runs) * len(pairs)
    with progress.task("swaps and latency", total=total) as task:
        for number in range(max(options.paced, options.latency_runs)):
            for one in _shuffled(turns, order):
                task.advance(one.swap(number))
            watch.between_rounds()
    return [campaign for _, campaign in pairs]


def _arms(session: HarnessSession) -> tuple[str, ...]:
    return (PROGRESSIVE, *session.deployment.arms)


def _shuffled(turns: Sequence[_Turns], order: random.Random) -> list[_Turns]:
    shuffled = list(turns)
    order.shuffle(shuffled)
    return shuffled


def _possible_states(
    sessions: Sequence[HarnessSession], states: Sequence[State], watch: RoundWatch
) -> list[State]:
    """The start states that the device allows; a cold one is tried before it is counted on.

    A device that does not drop its page cache when it is told to may still let go of our files.
    """
    if not set(states) - {"warm"}:
        return list(states)
    while True:
        try:
            sessions[0].ttfi(PROGRESSIVE, "cold", 0)
        except NotColdError as error:
            if sessions[0].dropping == "eviction":
                watch.not_cold(error.what)
                return [state for state in states if state == "warm"]
            for session in sessions:
                session.dropping = "eviction"
        else:
            return list(states)


@dataclass(frozen=True, slots=True)
class _Start:
    """A process of one arm.

    Attributes:
        arm: which one.
        state: in which it starts.
        climbs: whether it goes through stages, or has its first answer and some more.
        fps: frames in a second while it does; 0: at full speed.
    """

    arm: str
    state: State
    climbs: bool = False
    fps: int = 0


class _Turns:
    """What one session has to run, round by round."""

    def __init__(
        self,
        session: HarnessSession,
        campaign: Campaign,
        states: Sequence[State],
        options: CampaignOptions,
        order: random.Random,
    ) -> None:
        self._session, self._campaign = session, campaign
        self._states, self._options, self._order = states, options, order
        self._climbing = [PROGRESSIVE, *([TWO_STEP] if session.deployment.two_step else [])]
        of_state = len(_arms(session)) + len(self._climbing)
        self.starts_in_round = len(states) * of_state + len(options.fps)
        self.starts = (options.rounds + 1) * self.starts_in_round
        paced = options.paced * (1 + len(options.fps))
        runs = options.rounds * self.starts_in_round + paced + options.latency_runs
        self._repeater = Repeater(contention.repeats(runs), campaign.rejected)

    def start(self, number: int) -> None:
        """Every arm and what goes through stages once in every state, in random order.

        The progressive one once at every frame rate, too. What round -1 gives is thrown away.
        """
        starts = [_Start(arm, state) for state in self._states for arm in _arms(self._session)]
        starts += [
            _Start(arm, state, climbs=True) for state in self._states for arm in self._climbing
        ]
        if number >= 0:
            starts += [_Start(PROGRESSIVE, "warm", True, fps) for fps in self._options.fps]
        self._order.shuffle(starts)
        ttfi: list[TtfiSample] = []
        climbs: dict[str, list[ProgressSample]] = {arm: [] for arm in self._climbing}
        served: list[ProgressSample] = []
        for start in starts:
            if number < 0:
                (self._climb if start.climbs else self._first_answer)(start)
            elif not start.climbs:
                ttfi.append(self._ttfi(number, start))
            else:
                group = served if start.fps else climbs[start.arm]
                group.append(self._undisturbed(number, partial(self._climb, start)))
        if number >= 0:
            self._campaign.ttfi.append(ttfi)
            self._campaign.progress.append(climbs[PROGRESSIVE])
            self._campaign.two_step += [climbs[TWO_STEP]] if TWO_STEP in climbs else []
            self._campaign.served += [served] if served else []

    def swap(self, number: int) -> int:
        """Paced runs and steady latencies, while there are any left; says how many of those."""
        options, campaign = self._options, self._campaign
        paced, latency = number < options.paced, number < options.latency_runs
        if paced:
            hold, frames, through = options.hold, options.frames, self._session.progress
            campaign.paced.append(self._undisturbed(number, partial(through, "warm", hold, hold)))
            served = [
                self._undisturbed(number, partial(through, "warm", frames, frames, fps))
                for fps in options.fps
            ]
            campaign.served_paced += [served] if served else []
        if number < min(options.memory_runs, options.rounds):
            campaign.memory.append([self._session.memory(arm) for arm in _arms(self._session)])
        if latency:
            campaign.latency.append(
                self._repeater.undisturbed(
                    lambda: self._session.latency(options.latency_rounds),
                    contention.of_latencies,
                    lambda run, waited: Rejected(
                        round=number, wall_over_cpu=waited, latency=tuple(run)
                    ),
                )
            )
        return paced + latency

    def _first_answer(self, start: _Start) -> TtfiSample:
        return self._session.ttfi(start.arm, start.state, self._options.steady)

    def _climb(self, start: _Start) -> ProgressSample:
        if start.arm == TWO_STEP:
            return self._session.two_step(start.state, self._options.steady)
        inferences = self._options.frames if start.fps else self._options.steady
        return self._session.progress(start.state, inferences, fps=start.fps)

    def _ttfi(self, number: int, start: _Start) -> TtfiSample:
        return self._repeater.undisturbed(
            partial(self._first_answer, start),
            contention.of_start,
            lambda run, waited: Rejected(round=number, wall_over_cpu=waited, ttfi=run),
        )

    def _undisturbed(self, number: int, run: Callable[[], ProgressSample]) -> ProgressSample:
        return self._repeater.undisturbed(
            run,
            contention.of_progress,
            lambda run, waited: Rejected(round=number, wall_over_cpu=waited, progress=run),
        )
