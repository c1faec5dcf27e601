"""Which cuts of a network are taken, so that its blocks weigh alike."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.ingest.few_cuts import require_parts


def balanced_cuts(
    where: str, paths: Sequence[str], weights: Sequence[float], blocks: int, why: str = ""
) -> list[str]:
    """The submodules that blocks begin with; the last one with where it ends.

    Args:
        where: how errors call the network.
        paths: of the submodules that parts begin with, in the order in which they run; the last
            one may say where it ends, ``layer3..layer4``.
        weights: of the parts.
        blocks: how many.
        why: there are no more parts, if that is known.

    Raises:
        UsageError: there are fewer parts than blocks.
    """
    require_parts(where, len(paths), blocks, why)
    starts = _lightest(weights, blocks)
    names = [paths[start] for start in starts]
    if starts[-1] != len(paths) - 1:
        names[-1] = f"{names[-1]}..{paths[-1].rpartition('..')[2]}"
    return names


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
