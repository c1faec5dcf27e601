"""Runs that waited for processors while something else had them.

A wall time that was taken meanwhile is not the model's, and ratios of two of them are biased. What
waits shows in the processors' time beside it: a thread that computes uses as much as passes. Only
parts of a run that compute and nothing else are looked at, since a cold start waits for storage.
With several threads the processors' time is that of all of them, so that only gross waiting shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.harness.samples import LatencySample, ProgressSample, Rejected, TtfiSample

#: Wall time over processors' time above which a run is rejected. One thread that computes
#: undisturbed has 1.00 to 1.05.
LIMIT = 1.3
#: A run is tried so many times at most, and so large a share of all runs is run again.
TRIES = 3
REPEATED_SHARE = 0.25

T = TypeVar("T")


def of_start(sample: TtfiSample) -> float:
    """Of its steady inferences, and of the whole way to the first answer where that was warm."""
    parts = [(sum(sample.steady_ns), sum(sample.steady_cpu_ns))]
    if sample.state == "warm":
        parts.append((sample.ttfi_ns, sample.ttfi_cpu_ns))
    return _worst(parts)


def of_progress(sample: ProgressSample) -> float:
    """Of the inferences on its last stage, and of all of it where that was warm and never slept."""
    runs, last = sample.inferences, sample.loads[-1].stage
    steady = [i for i, stage in enumerate(runs.stage) if stage == last][1:]
    parts = [(sum(runs.duration_ns[i] for i in steady), sum(runs.cpu_ns[i] for i in steady))]
    if sample.state == "warm" and not sample.fps:
        parts.append((sample.wall_ns, sample.cpu_ns))
    return _worst(parts)


def of_latencies(samples: Sequence[LatencySample]) -> float:
    """Of all inferences that were timed in one process."""
    wall = sum(sum(sample.steady_ns) for sample in samples)
    return _worst([(wall, sum(sum(sample.steady_cpu_ns) for sample in samples))])


def of_rejected(run: Rejected) -> float:
    """Of a run that was rejected, reckoned anew."""
    if run.ttfi is not None:
        return of_start(run.ttfi)
    return of_progress(run.progress) if run.progress is not None else of_latencies(run.latency)


def _worst(parts: Sequence[tuple[int, int]]) -> float:
    """The largest ratio; where the device counts no processors' time, none."""
    ratios = [wall / cpu for wall, cpu in parts if wall > 0 and cpu > 0]
    return round(max(ratios, default=0.0), 4)


def repeats(runs: int) -> int:
    """How many of so many runs may be run again."""
    return round(REPEATED_SHARE * runs)


@dataclass(slots=True)
class Repeater:
    """Runs again what waited for processors, within a bound.

    Attributes:
        left: runs that may still be run again.
        rejected: where every run goes whose place another one took.
    """

    left: int
    rejected: list[Rejected]

    def undisturbed(
        self,
        take: Callable[[], T],
        ratio: Callable[[T], float],
        rejected: Callable[[T, float], Rejected],
    ) -> T:
        """What a run gives: of several, the one that waited least.

        Args:
            take: runs it.
            ratio: its wall time over its processors' time.
            rejected: how it is kept where another one takes its place.
        """
        best = take()
        waited = ratio(best)
        for _ in range(TRIES - 1):
            if waited <= LIMIT or self.left <= 0:
                break
            self.left -= 1
            again = take()
            again_waited = ratio(again)
            if again_waited < waited:
                self.rejected.append(rejected(best, waited))
                best, waited = again, again_waited
            else:
                self.rejected.append(rejected(again, again_waited))
        return best
