"""From a profile to the model that ships: trained or taken in, scheduled, and evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundle.schedule import Schedule
from pipeline.core.progress import Progress
from pipeline.evaluation.model_warnings import ModelWarning, model_warnings
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.route import Route, prefix_routes, routes_with
from pipeline.schedule.choose import Trainer, choose_schedule
from pipeline.settings import Settings, SourceModel, with_precision
from pipeline.training.training_log import NoTrainingLog, TrainingLog
from pipeline.workflows.load_model import model_of


@dataclass(frozen=True, slots=True)
class ScheduledModel:
    """A model, evaluated, and which of its routes ship.

    Attributes:
        evaluated: along every route of the chosen order, then others that were asked for.
        shipped: those that ship.
        choice: why these.
        planned: all routes of the chosen order.
    """

    evaluated: EvaluatedModel
    shipped: tuple[Route, ...]
    choice: Schedule
    planned: tuple[Route, ...]

    def warnings(self, settings: Settings) -> tuple[ModelWarning, ...]:
        """What speaks against shipping it, a model of that profile."""
        return model_warnings(self.evaluated, self.shipped, _pretrained(settings))


def _pretrained(settings: Settings) -> str | None:
    """The source of a teacher that is not trained here, of which a normalization can be stated."""
    model, training = settings.model, settings.training
    if not isinstance(model, SourceModel) or model.kind == "keras":
        return None
    return None if training is not None and training.teacher is not None else model.source


def scheduled_model(
    settings: Settings,
    cache: Path,
    progress: Progress,
    others: Sequence[Route] = (),
) -> ScheduledModel:
    """The model of a profile with the stages that its ``[schedule]`` leads to in eager PyTorch.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.
        others: routes to evaluate beside those that ship.

    Raises:
        UsageError: settings, data, source and routes do not fit together.
    """
    return schedule_in_eager(settings, model_of(settings, cache, progress), others)


def schedule_in_eager(
    settings: Settings,
    model: Trainer,
    others: Sequence[Route] = (),
    training_log: TrainingLog | None = None,
) -> ScheduledModel:
    """As `scheduled_model`, for a model that is there already.

    Args:
        settings: the profile.
        model: of the profile, evaluated in eager PyTorch.
        others: routes to evaluate beside those that ship.
        training_log: where the accuracy of every route is written down, if anywhere.
    """
    once = with_precision(settings, settings.lowering.precision.arriving_once())
    scheduled = schedule(once, model, others)
    found = scheduled.evaluated
    with (training_log or NoTrainingLog()).phase("routes", -1) as log:
        each = zip(found.routes, found.accuracy, strict=True)
        log.write({f"test accuracy/{route}": accuracy.top1 for route, accuracy in each}, 0)
    return scheduled


def schedule(settings: Settings, model: Trainer, others: Sequence[Route] = ()) -> ScheduledModel:
    """The stages that a profile's ``[schedule]`` table leads to.

    Args:
        settings: the profile.
        model: of the profile, evaluated by the programs of its ``[lowering.precision]``, or in
            eager PyTorch where its blocks arrive once.
        others: routes to evaluate beside those that ship.
    """
    routes_with(prefix_routes(model.model.blocks), others)  # refuses those of another length
    chosen = choose_schedule(settings.schedule, model, settings.lowering.precision)
    routes = list(dict.fromkeys([*chosen.train_for, *others]))
    evaluated = model.train_and_evaluate(chosen.train_for, routes)
    return ScheduledModel(evaluated, chosen.routes, chosen.choice, chosen.train_for)
