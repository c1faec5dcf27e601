"""A network that is cut into blocks which take equally long to load, as it is measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.random_state import own_random_numbers
from pipeline.ingest.channels_last import boundaries_channels_last, turned
from pipeline.ingest.cuts import possible_cuts
from pipeline.ingest.few_cuts import require_parts
from pipeline.ingest.probe import probe_images, run_module, run_network
from pipeline.ingest.split import split_network
from pipeline.model.answers import answer_images, one_thread
from pipeline.model.blocknet import BlockNet

_BY_LOAD_TIME = re.compile(r"^auto:(?P<blocks>\d+):load_time$")


@dataclass(frozen=True, slots=True)
class SplitCandidates:
    """A network, and how many blocks are to be made of it.

    Attributes:
        source: how errors call where it is from.
        name: ``teacher`` or ``student``.
        network: in eval mode.
        shape: of one input.
        blocks: how many.
    """

    source: str
    name: str
    network: nn.Module
    shape: tuple[int, ...]
    blocks: int

    @property
    def where(self) -> str:
        """How errors call it."""
        return f"{self.source}: the {self.name}"

    def answers(self) -> Tensor:
        """What it makes of images that never change, ``[n, ...]``.

        Raises:
            UsageError: it fails, or gives something else.
        """
        name, images = f"the {self.name}", answer_images(self.shape)
        with one_thread():
            return run_module(self.source, name, self.network, images, own_input=True)

    def parts(self) -> tuple[list[str], BlockNet]:
        """The network cut wherever it can be: what its parts begin with, and these as blocks.

        What runs before the first cut is fused into the first of them, as it is in the end.

        Raises:
            UsageError: it cannot be cut into so many blocks.
        """
        images = probe_images(self.shape)
        cuts = possible_cuts(self.where, self.network, images)
        paths = cuts.split
        require_parts(self.where, len(paths), self.blocks, cuts.why)
        whole = split_network(self.source, self.name, self.network, paths, images)
        outputs = run_network(self.source, self.name, whole, images)
        return paths, turned(whole, boundaries_channels_last(outputs, outputs, images)).eval()


#: Chooses the submodules that blocks begin with.
MeasuredSplit = Callable[[SplitCandidates], Sequence[str]]


def measured_split(
    source: str,
    name: str,
    network: nn.Module,
    split: Sequence[str],
    shape: tuple[int, ...],
    choose: MeasuredSplit | None,
) -> Sequence[str]:
    """A split as it is, or what ``auto:N:load_time`` means for a network.

    Args:
        source: how errors call where the network is from.
        name: ``teacher`` or ``student``.
        network: in eval mode.
        split: as profile or source state it.
        shape: of one input.
        choose: measures; None where there is no profile.

    Raises:
        UsageError: nobody can measure, or the network cannot be cut into so many blocks.
    """
    found = _BY_LOAD_TIME.match(split[0])
    if found is None or len(split) > 1:
        return split
    if choose is None:
        raise UsageError(
            f"{source}: split = {split[0]!r} is measured for the backends of a profile",
            f'name the profile, or give split = "auto:{found["blocks"]}"',
        )
    with own_random_numbers():  # whether it is measured or kept
        return choose(SplitCandidates(source, name, network, shape, int(found["blocks"])))
