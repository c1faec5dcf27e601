"""One order on trial: which of its stages would ship, and what it is worth while it loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.bundle.schedule import ScheduleStep
from pipeline.evaluation.label_scores import Scores
from pipeline.model.route import Route, UnitId
from pipeline.schedule.gain import Gain
from pipeline.schedule.load_times import LoadTimes
from pipeline.schedule.order import Order
from pipeline.settings import OrderName

#: The units of a route in execution order.
Units = Callable[[Route], Sequence[UnitId]]


@dataclass(frozen=True, slots=True)
class Costs:
    """What it costs to get from one route to another."""

    units: Units
    times: LoadTimes

    def between(self, here: Route, there: Route) -> float:
        """The cost of loading what the one does not have and the other needs."""
        return self.times.of(set(self.units(there)) - set(self.units(here)))


@dataclass(frozen=True, slots=True)
class Trial:
    """An order and what became of it.

    Attributes:
        name: of the order in ``[schedule]``.
        order: the teacher's blocks as they arrive.
        routes: that would ship, from all student to all teacher.
        steps: every stage after the first, and why it ships or not.
        student: the accuracy that it starts with.
        curve: per shipped stage after the first its cost, and what it gains over the student.
    """

    name: OrderName
    order: Order
    routes: tuple[Route, ...]
    steps: tuple[ScheduleStep, ...]
    student: float
    curve: tuple[tuple[float, float], ...]

    @property
    def cost(self) -> float:
        """Of loading all of it."""
        return sum(cost for cost, _ in self.curve)

    def mean_accuracy(self, until: float) -> float:
        """What it gets right on average from the start to a cost of `until`."""
        return self.student + self.mean_gain(until)

    def mean_gain(self, until: float) -> float:
        """What it gains over the student on average from the start to a cost of `until`."""
        if until <= 0:
            return 0.0
        gains = [0.0, *(gain for _, gain in self.curve)]
        costs = [*(cost for cost, _ in self.curve), until - self.cost]
        return sum(gain * cost for gain, cost in zip(gains, costs, strict=True)) / until


def try_order(
    name: OrderName,
    order: Order,
    scores: Mapping[Route, Scores],
    costs: Costs,
    *,
    everything: bool,
) -> Trial:
    """Which stages of an order pay.

    Args:
        name: what the order is called.
        order: the teacher's blocks as they arrive.
        scores: for each of its routes, from all student to all teacher, how good its answers are
            to each image ``[n]``.
        costs: of loading.
        everything: ship every stage, whether it pays or not.
    """
    student, *later = scores
    shipped, steps = [student], []
    for route in later:
        gain = Gain.between(scores[shipped[-1]], scores[route])
        last = route == later[-1]
        ships = everything or gain.pays or last
        steps.append(
            ScheduleStep(
                route=str(route),
                shipped=ships,
                cost=round(costs.between(shipped[-1], route), 6),
                gain=round(gain.value, 6),
                low=round(gain.low, 6),
                high=round(gain.high, 6),
                why="the whole teacher" if last else _why(gain, everything),
            )
        )
        if ships:
            shipped.append(route)
    right = {route: float(scores[route].mean()) for route in shipped}
    curve = tuple(
        (costs.between(here, there), right[there] - right[student])
        for here, there in pairwise(shipped)
    )
    return Trial(name, order, tuple(shipped), tuple(steps), right[student], curve)


def _why(gain: Gain, everything: bool) -> str:
    if gain.pays:
        return "gains more than its uncertainty"
    if everything:
        return "every stage was asked for"
    if gain.high < 0:
        return "worse than the stage before: merged with the next"
    return "no better than its uncertainty: merged with the next"
