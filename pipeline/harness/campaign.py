"""A campaign: all measurements of one report, interleaved so that drift hits every arm alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.core.progress import Progress
from pipeline.core.toml_file import Section
from pipeline.harness.samples import (
    Info,
    LatencySample,
    Logits,
    Predictions,
    ProgressSample,
    State,
    TtfiSample,
)
from pipeline.harness.session import HarnessSession, NotColdError
from pipeline.settings import PROGRESSIVE

T = TypeVar("T")


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
    """

    rounds: int = 15
    states: tuple[State, ...] = ("cold", "warm")
    seed: int = 0
    steady: int = 20
    hold: int = 40
    paced: int = 9
    latency_runs: int = 9
    latency_rounds: int = 25


@dataclass(slots=True)
class Campaign:
    """Everything that was measured; lists of rounds, in the order in which they were run."""

    info: Info
    ttfi: list[list[TtfiSample]] = field(default_factory=list)
    progress: list[list[ProgressSample]] = field(default_factory=list)
    paced: list[ProgressSample] = field(default_factory=list)
    latency: list[list[LatencySample]] = field(default_factory=list)
    predictions: list[Predictions] = field(default_factory=list)
    logits: list[Logits] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_campaigns(
    sessions: Sequence[HarnessSession], options: CampaignOptions, progress: Progress
) -> list[Campaign]:
    """Runs a whole campaign of each session, all in one: every round is a round of each.

    Correctness comes first: a device that computes wrong logits is not worth timing. One round is
    run and thrown away, so that the first measured one finds the device as every other does.

    Raises:
        IntegrityError: the harness refuses a file.
        DeviceError: the device failed.
    """
    pairs = [(session, Campaign(session.info())) for session in sessions]
    with progress.task("parity and accuracy", total=2 * len(pairs)) as task:
        for session, campaign in pairs:
            campaign.logits = session.parity()
            task.advance(1)
            campaign.predictions = session.accuracy()
            task.advance(1)
    notes: list[str] = []
    states = _possible_states(sessions[0], options.states, notes)
    for session, campaign in pairs:
        campaign.notes += notes
        if "cold-cached" in states:
            session.fill_caches(_arms(session))
    order = random.Random(options.seed)
    each = {id(session): len(states) * (len(_arms(session)) + 1) for session, _ in pairs}
    with progress.task("starts", total=(options.rounds + 1) * sum(each.values())) as task:
        for number in range(-1, options.rounds):
            for session, campaign in _shuffled(pairs, order):
                ttfi, through = _round(session, states, options, order)
                if number >= 0:
                    campaign.ttfi.append(ttfi)
                    campaign.progress.append(through)
                task.advance(each[id(session)], f"round {number + 1}/{options.rounds}")
    total = (options.paced + options.latency_runs) * len(pairs)
    with progress.task("swaps and latency", total=total) as task:
        for number in range(max(options.paced, options.latency_runs)):
            for session, campaign in _shuffled(pairs, order):
                if number < options.paced:
                    sample = session.progress("warm", options.hold, options.hold)
                    campaign.paced.append(sample)
                    task.advance(1)
                if number < options.latency_runs:
                    campaign.latency.append(session.latency(options.latency_rounds))
                    task.advance(1)
    return [campaign for _, campaign in pairs]


def _arms(session: HarnessSession) -> tuple[str, ...]:
    return (PROGRESSIVE, *session.deployment.arms)


def _shuffled(pairs: Sequence[T], order: random.Random) -> list[T]:
    turns = list(pairs)
    order.shuffle(turns)
    return turns


def _possible_states(
    session: HarnessSession, states: Sequence[State], notes: list[str]
) -> list[State]:
    """The start states that the device allows; a cold one is tried before it is counted on."""
    if set(states) - {"warm"}:
        try:
            session.ttfi(PROGRESSIVE, "cold", 0)
        except NotColdError as error:
            notes.append(f"no cold starts: {error.what}")
            return [state for state in states if state == "warm"]
    return list(states)


def _round(
    session: HarnessSession, states: Sequence[State], options: CampaignOptions, order: random.Random
) -> tuple[list[TtfiSample], list[ProgressSample]]:
    """Every arm and the progressive run once in every state, in random order."""
    starts = [(arm, state) for state in states for arm in (*_arms(session), None)]
    order.shuffle(starts)
    ttfi: list[TtfiSample] = []
    through: list[ProgressSample] = []
    for arm, state in starts:
        if arm is None:
            through.append(session.progress(state, options.steady))
        else:
            ttfi.append(session.ttfi(arm, state, options.steady))
    return ttfi, through
