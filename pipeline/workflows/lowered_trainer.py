"""The model of a profile as its programs answer, where some of them do not compute in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.core.work import Work
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.label_maps import Labels
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.lowering.labels import labels_of
from pipeline.lowering.lower import lower_units
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.store import LoweredArtifact
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.schedule.choose import Trainer
from pipeline.settings import PLAIN, Settings
from pipeline.workflows.golden_images import calibration_of, golden_of


class LoweredTrainer:
    """A model that is evaluated by the programs that ship, along every route with quantized ones.

    Which stages pay is then decided by what an app would answer. An order is searched for in
    float32, as there are no programs before the model is trained for one.

    Args:
        trainer: trains and evaluates it in eager PyTorch.
        settings: the profile.
        target: what it is lowered for.
        work: how.
    """

    def __init__(
        self, trainer: Trainer, settings: Settings, target: LoweringTarget, work: Work
    ) -> None:
        self._trainer = trainer
        self._settings = settings
        self._target = target
        self._work = work

    @property
    def model(self) -> PwlModel:
        """As of the trainer."""
        return self._trainer.model

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """As `Trainer` says.

        Raises:
            UsageError: a unit cannot be lowered whole.
            IntegrityError: a program deviates by more than its precision may, or its logits are no
                finite numbers.
        """
        if train_for is None or not self._settings.lowering.precision.quantized:
            return self._trainer.train_and_evaluate(train_for, routes)
        found = self._in_float32(train_for, routes)
        chains = self._quantized_chains(found, train_for)
        dataset = found.dataset
        tested = self._labels(chains, dataset, dataset.test)
        chosen = tested
        if dataset.held_out is not None:
            chosen = self._labels(chains, dataset, dataset.held_out)
        predictions, choosing = found.predictions.copy(), found.choosing.copy()
        for row, route in enumerate(found.routes):
            if (name := str(route)) in chains:
                predictions[row], choosing[row] = tested[name], chosen[name]
        return replace(found, predictions=predictions, choosing=choosing, eager=found.predictions)

    def _in_float32(self, train_for: Sequence[Route], routes: Sequence[Route]) -> EvaluatedModel:
        """As `train_and_evaluate`, by eager PyTorch, to which a block is the same in int8."""
        once, plain = (
            tuple(dict.fromkeys(route.plain for route in each)) for each in (train_for, routes)
        )
        found = self._trainer.train_and_evaluate(once, plain)
        return replace(found.along([route.plain for route in routes]), routes=routes)

    def _labels(
        self,
        chains: Mapping[str, Sequence[LoweredArtifact]],
        dataset: Dataset,
        images: ImageSet,
    ) -> Mapping[str, Labels]:
        return labels_of(chains, images, dataset.normalization, self._target, self._work)

    def _quantized_chains(
        self, found: EvaluatedModel, train_for: Sequence[Route]
    ) -> dict[str, list[LoweredArtifact]]:
        """The programs of the routes of `found` that have quantized ones among them.

        Those that it serves beside what it is trained for are of control arms.
        """
        routes = [route for route in train_for if route in found.routes]
        golden = golden_of(self._settings, found, routes)
        calibration = calibration_of(self._settings, found.dataset, train_for)
        programs = lower_units(found.model, golden, self._target, self._work, calibration)
        chains = {str(r): [programs[u] for u in found.model.units(r)] for r in routes}
        return {
            name: chain
            for name, chain in chains.items()
            if any(unit.precision != PLAIN for unit in chain)
        }
