"""Where a network is cut so that its blocks take about as long to load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bundle.split_choice import PartCost, SplitChoice
from pipeline.core.atomic_files import write_text
from pipeline.core.fingerprint import fingerprint, machine_kind
from pipeline.core.work import Work
from pipeline.settings import Settings, for_backend
from pipeline.workflows.lowering_targets import target_of

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.ingest.split_candidates import SplitCandidates
    from pipeline.lowering.lowering_target import LoweringTarget
    from pipeline.model.blocknet import BlockNet

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
        backends = self._settings.lowering.backend
        return [target_of(for_backend(self._settings, backend)) for backend in backends]

    def choose(self, candidates: SplitCandidates) -> tuple[str, ...]:
        """The submodules that blocks begin with.

        Raises:
            UsageError: the network cannot be cut into so many, or a part cannot be lowered whole.
        """
        paths, whole = candidates.parts()
        key = self._key(candidates, paths, whole)
        place = self._work.cache / "splits" / f"{key[:32]}.json"
        choice = _kept(place)
        if choice is None:
            choice = self._measured(candidates, paths, whole)
            write_text(place, json.dumps(choice.model_dump(mode="json"), sort_keys=True))
        self.choices[candidates.name] = choice
        return choice.split

    def _key(self, candidates: SplitCandidates, paths: Sequence[str], whole: BlockNet) -> str:
        from pipeline.model.answers import answer_images, network_answers
        from pipeline.model.content import content_of

        answers = network_answers("whole", whole, answer_images(candidates.shape))
        return fingerprint(
            content_of({"whole": whole}).with_tensors(answers).numbers,
            [*paths],
            candidates.name,
            candidates.blocks,
            [*candidates.shape],
            [
                (target.settings.model_dump(mode="json"), dict(target.exporters))
                for target in self._targets
            ],
            machine_kind(),
        )

    def _measured(
        self, candidates: SplitCandidates, paths: Sequence[str], whole: BlockNet
    ) -> SplitChoice:
        from pipeline.ingest.balance import balanced_cuts
        from pipeline.lowering.first_answer import load_times_ms, lowered_chain
        from pipeline.model.route import Variant

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


def _kept(place: Path) -> SplitChoice | None:
    try:
        return SplitChoice.model_validate_json(place.read_bytes())
    except (OSError, ValueError):
        return None
