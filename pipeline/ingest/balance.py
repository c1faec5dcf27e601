"""Which cuts of a network are taken, so that its blocks weigh alike."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.errors import UsageError
from pipeline.ingest.fx_trace import OWN
from pipeline.ingest.uncuttable import UncuttableError


def balanced_cuts(
    where: str, paths: Sequence[str], weights: Sequence[float], blocks: int
) -> list[str]:
    """The submodules that blocks begin with; the last one with where it ends.

    Args:
        where: how errors call the network.
        paths: of the submodules that parts begin with, in the order in which they run; the last
            one may say where it ends, ``layer3..layer4``.
        weights: of the parts.
        blocks: how many.

    Raises:
        UsageError: there are fewer parts than blocks.
    """
    require_parts(where, len(paths), blocks)
    starts = _lightest(weights, blocks)
    names = [paths[start] for start in starts]
    if starts[-1] != len(paths) - 1:
        names[-1] = f"{names[-1]}..{paths[-1].rpartition('..')[2]}"
    return names


def require_parts(where: str, parts: int, blocks: int) -> None:
    """Makes sure that a network has the parts for so many blocks.

    Raises:
        UsageError: as for `balanced_cuts`.
    """
    if not parts:
        raise UncuttableError(
            f"{where} can be cut nowhere between its submodules: more than one tensor flows there, "
            "or they cannot be looked into",
            f"python -m pipeline.inspect shows why; {OWN}",
        )
    if not 0 < blocks <= parts:
        raise UsageError(
            f"{where} can be cut into 1 to {parts} blocks by its submodules: not {blocks}",
            f'write "auto:{parts}" or less, python -m pipeline.inspect shows where; {OWN}',
        )


def _lightest(weights: Sequence[float], count: int) -> list[int]:
    """Where runs begin that some weights are divided into, the sum of their squares the least."""
    total = [0.0]
    for weight in weights:
        total.append(total[-1] + weight)
    # By number of runs and of weights: the least sum, and where the last run begins.
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for runs in range(1, count + 1):
        best.append(
            {
                end: min(
                    (before[0] + (total[end] - total[start]) ** 2, start)
                    for start, before in best[-1].items()
                    if start < end
                )
                for end in range(runs, len(weights) + 1)
            }
        )
    starts = [len(weights)]
    for runs in range(count, 0, -1):
        starts.append(best[runs][starts[-1]][1])
    return starts[:0:-1]
