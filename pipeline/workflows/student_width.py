"""The width of a student where a profile gives a budget: the largest that fits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.bundle.student_choice import StudentChoice, StudentCost
from pipeline.core.errors import UsageError
from pipeline.core.work import Work
from pipeline.settings import Settings, SlimStudent
from pipeline.workflows.lowering_targets import targets_of
from pipeline.workflows.measured_choice import key_of_network, remembered

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.ingest.student_candidates import StudentCandidates
    from pipeline.model.blocknet import BlockNet

#: Widths that are tried are so many parts of the teacher's.
_PARTS = 32


class StudentWidths:
    """Chooses the width of a profile's student, and remembers what it chose in a cache.

    What is measured differs from time to time: with the same cache, the choice does not.

    Args:
        settings: the profile, with all backends that bundles of the model are built for.
        work: how candidates are lowered.

    Attributes:
        choice: what was chosen, after `choose`.
    """

    def __init__(self, settings: Settings, work: Work) -> None:
        self.choice: StudentChoice | None = None
        self._targets = targets_of(settings, settings.lowering.backend)
        self._work = work

    def choose(self, candidates: StudentCandidates) -> float:
        """The share of the channels that the largest student within the budget keeps.

        Raises:
            UsageError: none fits, or none can be made; says what the smallest takes.
        """
        table = candidates.table
        key = key_of_network(
            "teacher", candidates.teacher, candidates.shape, [table], self._targets
        )
        self.choice = remembered(
            self._work.cache / "students", key, StudentChoice, lambda: self._measured(candidates)
        )
        return self.choice.width

    def _measured(self, candidates: StudentCandidates) -> StudentChoice:
        table = candidates.table
        students = _students(candidates)
        if not students:
            raise UsageError(
                f"{candidates.source}: no student of it can be made by its width",
                "give width as a share to see why, or write the student yourself",
            )
        found: dict[int, StudentCost] = {}
        most = 1 + len(students).bit_length()  # of halving
        with self._work.progress.task("choose student", total=most) as task:

            def fits(index: int) -> bool:
                width, student, _ = students[index]
                cost = found[index] = self._cost(width, student, candidates)
                said = f"{cost.bytes:,} bytes" + (f", {cost.ms:.2f} ms" if cost.ms else "")
                task.advance(1, f"width {width:g}: {said}")
                return _fits(cost, table)

            sizes = [4 * parameters for _, _, parameters in students]
            within = [size <= (table.budget_bytes or 0) for size in sizes]
            guess = max(0, sum(within) - 1) if table.budget_bytes else len(students) // 2
            largest = largest_that_fits(len(students), fits, guess)
        if largest is None:
            raise _too_small(candidates, found[0])
        tried = tuple(found[index] for index in sorted(found))
        return StudentChoice(width=students[largest][0], tried=tried)

    def _cost(self, width: float, student: BlockNet, candidates: StudentCandidates) -> StudentCost:
        from pipeline.lowering.first_answer import first_answer_ms, lowered_chain

        sizes, times = [], []
        for target in self._targets:
            chain = lowered_chain(student, candidates.shape, target, self._work)
            sizes.append(sum(map(len, chain)))
            if candidates.table.budget_ms is not None:
                times.append(first_answer_ms(chain, candidates.shape, target))
        return StudentCost(width=width, bytes=max(sizes), ms=max(times) if times else None)


def largest_that_fits(count: int, fits: Callable[[int], bool], guess: int) -> int | None:
    """The last of some candidates that fits, where all before one that fits do; None: none does.

    Asks few of them: the guess, its neighbor, and then halves what is left.

    Args:
        count: of the candidates, from 0; at least one.
        fits: whether one does.
        guess: the first to ask.
    """
    low, high, probe, halve = -1, count, guess, False
    while high - low > 1:
        if fits(probe):
            low, near = probe, probe + 1
        else:
            high, near = probe, probe - 1
        probe = (low + high) // 2 if halve else near
        probe, halve = min(max(probe, low + 1), high - 1), True
    return low if low >= 0 else None


def _students(candidates: StudentCandidates) -> list[tuple[float, BlockNet, int]]:
    """The students of every width that can be made, each once, with their parameters."""
    from pipeline.model.keras_unit import parameter_count

    found: dict[int, tuple[float, BlockNet, int]] = {}
    most = candidates.table.budget_bytes
    for part in range(1, _PARTS + 1):
        try:
            student = candidates.student(part / _PARTS)
        except UsageError:
            continue  # heads or groups leave no such width
        parameters = parameter_count(student)
        found.setdefault(parameters, (part / _PARTS, student, parameters))
        if most is not None and parameters > most and len(found) > 1:
            break  # a byte for each parameter, as in int8, is too much already
    return [found[parameters] for parameters in sorted(found)]


def _fits(cost: StudentCost, table: SlimStudent) -> bool:
    if table.budget_bytes is not None:
        return cost.bytes <= table.budget_bytes
    return cost.ms is not None and table.budget_ms is not None and cost.ms <= table.budget_ms


def _too_small(candidates: StudentCandidates, smallest: StudentCost) -> UsageError:
    table = candidates.table
    if table.budget_bytes is not None:
        budget, least = f"budget_bytes = {table.budget_bytes:,}", f"{smallest.bytes:,} bytes"
    else:
        budget, least = f"budget_ms = {table.budget_ms:g}", f"{smallest.ms:.2f} ms"
    return UsageError(
        f"{candidates.source}: no student fits {budget} in [model.student]: the first answer of "
        f"the smallest, width = {smallest.width:g}, takes {least}",
        "raise it, keep fewer layers (depth), or write the student yourself",
    )
