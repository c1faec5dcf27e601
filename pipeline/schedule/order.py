"""Orders: which block of the teacher arrives when, and the routes that this gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pipeline.model.route import Route, Variant

#: The teacher's blocks as they arrive; a permutation of all block indices.
Order = tuple[int, ...]


def prefix(blocks: int) -> Order:
    """From the first block to the last, as in arXiv 2509.22319."""
    return tuple(range(blocks))


def suffix(blocks: int) -> Order:
    """From the last block to the first."""
    return tuple(reversed(range(blocks)))


def largest_first(sizes: Sequence[int]) -> Order:
    """From the largest block to the smallest; of equal ones the first comes first.

    While a block's weights are packed they are in memory twice, so that the highest moment of a
    climb is lowest where the largest block comes while little else is there.

    Args:
        sizes: bytes of the teacher's blocks, as they ship.
    """
    return tuple(sorted(range(len(sizes)), key=lambda block: -sizes[block]))


def routes_of(order: Order, arrivals: Sequence[Variant] = (Variant.TEACHER,)) -> tuple[Route, ...]:
    """The routes of an order, from all student to all teacher, each with one block exchanged.

    Args:
        order: the teacher's blocks as they arrive.
        arrivals: as what all of them arrive, one after the other.
    """
    here = [Variant.STUDENT] * len(order)
    found = [Route(tuple(here))]
    for variant in arrivals:
        for block in order:
            here[block] = variant
            found.append(Route(tuple(here)))
    return tuple(found)


def greedy(blocks: int, gain: Callable[[Route, Route], float]) -> Order:
    """The order that takes the best single swap each time.

    Args:
        blocks: of the model.
        gain: what the step from one route to another is worth; the largest is taken, of equal ones
            the first block.
    """
    order: Order = ()
    while len(order) < blocks:
        here = _with(frozenset(order), blocks)
        left = [block for block in range(blocks) if block not in order]
        there = {block: _with(frozenset({*order, block}), blocks) for block in left}
        order += (max(left, key=lambda block: gain(here, there[block])),)
    return order


def contiguous(blocks: int, worth: Callable[[Order], float]) -> Order:
    """The best of the orders whose teacher blocks lie side by side at every stage.

    Args:
        blocks: of the model; there are ``2 ** (blocks - 1)`` such orders.
        worth: of an order; the largest is taken.
    """
    return max(_growing(blocks), key=worth)


def _growing(blocks: int) -> Iterator[Order]:
    def grow(order: Order, first: int, last: int) -> Iterator[Order]:
        if last - first + 1 == blocks:
            yield order
        if last + 1 < blocks:
            yield from grow((*order, last + 1), first, last + 1)
        if first > 0:
            yield from grow((*order, first - 1), first - 1, last)

    for start in range(blocks):
        yield from grow((start,), start, start)


def _with(teachers: frozenset[int], blocks: int) -> Route:
    return Route(
        tuple(Variant.TEACHER if block in teachers else Variant.STUDENT for block in range(blocks))
    )
