"""From a profile to the model that ships: trained or taken in, scheduled, and evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        found = model_warnings(self.evaluated, self.shipped, _pretrained(settings))
        return (*_head_warnings(settings), *found)


def _pretrained(settings: Settings) -> str | None:
    """The source of a teacher that comes trained, of which a normalization can be stated.

    Nobody knows whether one of a function that is trained here was trained before.
    """
    model = settings.model
    if not isinstance(model, SourceModel) or model.kind == "keras":
        return None
    return None if _trains_teacher(settings) and model.kind == "python" else model.source


def _trains_teacher(settings: Settings) -> bool:
    return settings.training is not None and settings.training.teacher is not None


def _head_warnings(settings: Settings) -> Iterator[ModelWarning]:
    model = settings.model
    replaced = isinstance(model, SourceModel) and model.teacher.head == "replace"
    if replaced and not _trains_teacher(settings):
        yield ModelWarning(
            kind="teacher",
            text="the head of the teacher was replaced and not trained: what it answers is chance; "
            "give the profile [training.teacher]",
        )


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
        metric = "cosine" if found.dataset.embeds else "accuracy"
        log.write({f"test {metric}/{route}": accuracy.top1 for route, accuracy in each}, 0)
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
