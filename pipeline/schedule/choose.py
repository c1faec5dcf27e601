"""Chooses order and stages: every candidate is trained for, evaluated and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from pipeline.bundle.schedule import Candidate, Schedule
from pipeline.lowering.precision import precisions_of
from pipeline.model.route import Role, Route, UnitId, Variant
from pipeline.schedule.load_times import LoadTimes, by_bytes, measured
from pipeline.schedule.order import (
    Order,
    contiguous,
    greedy,
    largest_first,
    prefix,
    routes_of,
    suffix,
)
from pipeline.schedule.trial import Costs, Trial, try_order
from pipeline.settings import PLAIN, OrderName, PrecisionSettings, ScheduleSettings

if TYPE_CHECKING:
    from pipeline.evaluation.predictions import EvaluatedModel
    from pipeline.model.pwl import PwlModel

#: Mean gains that differ by less are equal: a tenth of a point.
_TIE = 1e-3


class Trainer(Protocol):
    """A model whose stages are to be chosen."""

    @property
    def model(self) -> PwlModel:
        """Its units; where it is trained here, with fresh weights."""
        ...

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """The model, evaluated along some routes.

        Args:
            train_for: the routes that it is trained for, where it is trained here; None: any.
            routes: along which it is evaluated.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChosenSchedule:
    """The routes that ship, and why."""

    routes: tuple[Route, ...]
    train_for: tuple[Route, ...]
    choice: Schedule


def choose_schedule(
    settings: ScheduleSettings,
    trainer: Trainer,
    precision: PrecisionSettings = PrecisionSettings(),  # noqa: B008 (it is immutable)
) -> ChosenSchedule:
    """The order and the stages that a profile's ``[schedule]`` table leads to.

    Args:
        settings: the table.
        trainer: the model whose stages are to be chosen.
        precision: of its blocks, which decides what they weigh, and how often they arrive.

    Raises:
        UsageError: the report with load times does not fit the model, or there is none.
    """
    plan = trainer.model
    sizes = _sizes(plan, precision)
    costs = Costs(plan.units, _load_times(settings, sizes))
    everything = settings.stages == "all"
    arrivals = [Variant.TEACHER_INT8] if precision.first_teacher else []
    arrivals.append(Variant.TEACHER)
    trials: list[Trial] = []
    for name in settings.orders:
        order = _order(name, trainer, costs, sizes)
        routes = routes_of(order, arrivals)
        found = trainer.train_and_evaluate(routes, routes)
        trials.append(try_order(name, order, found.choosing_scores, costs, everything=everything))
    until = max(trial.cost for trial in trials)
    best = trials[0]
    for trial in trials[1:]:
        more = trial.mean_accuracy(until) - best.mean_accuracy(until)
        if more > _TIE or (abs(more) <= _TIE and len(trial.routes) < len(best.routes)):
            best = trial
    data = found.dataset
    choice = Schedule(
        order=best.name,
        images=len(data.choosing),
        held_out=data.held_out is not None,
        cost_unit=costs.times.unit,
        cost_origin=costs.times.origin,
        candidates=tuple(
            Candidate(
                order=trial.name,
                blocks=trial.order,
                stages=len(trial.routes),
                mean_gain=round(trial.mean_accuracy(until) - trials[0].student, 6),
            )
            for trial in trials
        ),
        steps=best.steps,
    )
    return ChosenSchedule(best.routes, routes_of(best.order, arrivals), choice)


def _sizes(plan: PwlModel, precision: PrecisionSettings) -> dict[UnitId, int]:
    """Bytes of the parameters of every unit, as they ship."""
    precisions = precisions_of(precision, plan.blocks)
    return {
        unit: size if precisions.get(unit, PLAIN) == PLAIN else size // 4
        for unit, size in plan.sizes().items()
    }


def _load_times(settings: ScheduleSettings, sizes: Mapping[UnitId, int]) -> LoadTimes:
    if settings.load_times is None:
        return by_bytes(sizes)
    return measured(settings.load_times, sizes)


def _order(name: OrderName, trainer: Trainer, costs: Costs, sizes: Mapping[UnitId, int]) -> Order:
    blocks = trainer.model.blocks

    @cache
    def accuracy(route: Route) -> float:
        """Of a model that serves any route, on the images that choose."""
        found = trainer.train_and_evaluate(None, [route])
        return float(found.choosing_scores[route].mean())

    values = _RouteValues(accuracy, costs)
    match name:
        case "prefix":
            return prefix(blocks)
        case "suffix":
            return suffix(blocks)
        case "largest":
            return largest_first([sizes[UnitId(Role.TEACHER, block)] for block in range(blocks)])
        case "greedy":
            return greedy(blocks, values.gain_per_cost)
        case "contiguous":
            return contiguous(blocks, values.worth)


@dataclass(frozen=True, slots=True)
class _RouteValues:
    """What orders are compared by."""

    accuracy: Callable[[Route], float]
    costs: Costs

    def gain_per_cost(self, here: Route, there: Route) -> float:
        """Per cost; a loss counts as it is, for it is no better for being dear."""
        gain = self.accuracy(there) - self.accuracy(here)
        return gain / max(self.costs.between(here, there), 1e-9) if gain > 0 else gain

    def worth(self, order: Order) -> float:
        """The less accuracy is missing while it loads, the more; so a detour is no merit."""
        routes = routes_of(order)
        whole = self.accuracy(routes[-1])
        return -sum(
            (whole - self.accuracy(here)) * self.costs.between(here, there)
            for here, there in pairwise(routes)
        )
