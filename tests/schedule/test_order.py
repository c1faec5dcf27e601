from __future__ import annotations

from itertools import permutations

from pipeline.model.route import Route, Variant
from pipeline.schedule.order import contiguous, greedy, largest_first, prefix, routes_of, suffix


def words(routes: tuple[Route, ...]) -> list[str]:
    return [str(route) for route in routes]


def test_prefix_and_suffix_swap_from_either_end() -> None:
    assert words(routes_of(prefix(3))) == ["SSS", "TSS", "TTS", "TTT"]
    assert words(routes_of(suffix(3))) == ["SSS", "SST", "STT", "TTT"]


def test_the_largest_comes_first_and_of_equal_ones_the_first() -> None:
    assert largest_first([20, 30, 10, 30]) == (1, 3, 0, 2)


def test_what_arrives_twice_does_so_in_the_same_order() -> None:
    twice = (Variant.TEACHER_INT8, Variant.TEACHER)
    found = words(routes_of(suffix(3), twice))
    assert found == ["SSS", "SSt", "Stt", "ttt", "ttT", "tTT", "TTT"]


def test_greedy_takes_the_best_swap_each_time() -> None:
    value = {"SSS": 0, "TSS": 1, "STS": 3, "SST": 2, "TTS": 4, "STT": 5, "TTT": 9}
    steps: list[tuple[str, str]] = []

    def gain(here: Route, there: Route) -> float:
        steps.append((str(here), str(there)))
        return value[str(there)] - value[str(here)]

    assert greedy(3, gain) == (1, 2, 0)
    assert steps == [
        *(("SSS", word) for word in ("TSS", "STS", "SST")),
        *(("STS", word) for word in ("TTS", "STT")),
        ("STT", "TTT"),
    ]


def test_greedy_prefers_the_first_of_equal_swaps() -> None:
    assert greedy(3, lambda here, there: 0.0) == (0, 1, 2)


def test_contiguous_looks_at_every_order_without_gaps_and_no_other() -> None:
    seen: list[tuple[int, ...]] = []

    def worth(order: tuple[int, ...]) -> float:
        seen.append(order)
        return float(order == (2, 1, 3, 0))

    assert contiguous(4, worth) == (2, 1, 3, 0)
    without_gaps = [
        order
        for order in permutations(range(4))
        if all(max(order[:n]) - min(order[:n]) == n - 1 for n in range(1, 5))
    ]
    assert sorted(seen) == sorted(without_gaps)
    assert len(seen) == 8
