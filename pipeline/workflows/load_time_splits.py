"""Where a network is cut so that its blocks take about as long to load."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.bundle.split_choice import PartCost, SplitChoice
from pipeline.core.work import Work
from pipeline.settings import Settings
from pipeline.workflows.lowering_targets import targets_of
from pipeline.workflows.measured_choice import key_of_answers, remembered

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.ingest.split_candidates import SplitCandidates
    from pipeline.lowering.lowering_target import LoweringTarget

#: How cuts are found and chosen; raised where that gives others.
_RULES = 4
#: What every program takes, whatever is in it, is at most this share of the fastest one's time.
_MOST_FIXED = 0.9


class LoadTimeSplits:
    """Chooses the cuts of a profile's networks, and remembers what it chose in a cache.

    What is measured differs from time to time: with the same cache, the choice does not.

    Args:
        settings: the profile, with all backends that bundles of the model are built for.
        work: how parts are lowered.

    Attributes:
        choices: by the name of the network, after `choose`.
    """

    def __init__(self, settings: Settings, work: Work) -> None:
        self.choices: dict[str, SplitChoice] = {}
        self._settings = settings
        self._work = work

    @cached_property
    def _targets(self) -> list[LoweringTarget]:
        return targets_of(self._settings, self._settings.lowering.backend)

    def choose(self, candidates: SplitCandidates) -> tuple[str, ...]:
        """The submodules that blocks begin with.

        Raises:
            UsageError: the network cannot be cut into so many, or a part cannot be lowered whole.
        """
        choice = self.choices[candidates.name] = remembered(
            self._work.cache / "splits",
            self._key(candidates),
            SplitChoice,
            lambda: self._measured(candidates),
        )
        return choice.split

    def _key(self, candidates: SplitCandidates) -> str:
        """The network as it is, by its weights, their places and its answers: cutting takes long,
        and is needed where it is measured alone.
        """
        what = [_RULES, candidates.name, candidates.blocks]
        answers = {"answers": candidates.answers()}
        network, targets = candidates.network, self._targets
        return key_of_answers("whole", network, answers, [*what, [*candidates.shape]], targets)

    def _measured(self, candidates: SplitCandidates) -> SplitChoice:
        from pipeline.ingest.balance import balanced_cuts
        from pipeline.lowering.first_answer import load_times_ms, lowered_chain
        from pipeline.model.route import Variant

        paths, whole = candidates.parts()
        sizes, times = [0] * len(paths), [0.0] * len(paths)
        variant = Variant.STUDENT if candidates.name == "student" else Variant.TEACHER
        with self._work.progress.task("measure parts", total=len(self._targets)) as task:
            for target in self._targets:
                chain = lowered_chain(whole, candidates.shape, target, self._work, variant)
                for index, ms in enumerate(load_times_ms(chain, target)):
                    sizes[index] = max(sizes[index], len(chain[index]))
                    times[index] += ms
                task.advance(1, f"{len(chain)} parts load in {sum(times):.2f} ms")
        found = zip(paths, sizes, times, strict=True)
        costs = [PartCost(begins_with=path, bytes=size, ms=ms) for path, size, ms in found]
        weights = without_fixed_cost(sizes, times)
        split = balanced_cuts(candidates.where, paths, weights, candidates.blocks)
        return SplitChoice(split=tuple(split), parts=tuple(costs))


def without_fixed_cost(sizes: Sequence[int], times: Sequence[float]) -> list[float]:
    """What programs take beyond what each of them takes, for one of several parts takes it once.

    That is where the line through all of them, by least squares, meets no bytes.

    Args:
        sizes: in bytes.
        times: of the same programs, above 0.

    Returns:
        Times, above 0.
    """
    import numpy as np

    fixed = 0.0
    if len({*sizes}) > 1:
        fixed = float(np.polyfit(sizes, times, 1)[1])
    fixed = min(max(fixed, 0.0), _MOST_FIXED * min(times))
    return [time - fixed for time in times]
