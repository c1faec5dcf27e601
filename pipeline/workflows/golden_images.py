"""Which images of a profile's data programs are compared and calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.data.images import Dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.lowering.calibration import Calibration
from pipeline.lowering.golden import GoldenSet
from pipeline.model.route import Route
from pipeline.settings import Settings


def golden_of(settings: Settings, evaluated: EvaluatedModel, routes: Sequence[Route]) -> GoldenSet:
    """The first test images, as many as a profile asks for, and eager PyTorch along some routes.

    Raises:
        IntegrityError: some of its logits are no finite numbers.
    """
    dataset = evaluated.dataset
    images = dataset.test.images[: settings.bundle.golden_images]
    inputs = dataset.normalization.apply(images)
    golden = GoldenSet.of(evaluated.model, routes, inputs, settings.lowering.tolerance)
    if not settings.quantized:
        return golden
    return replace(golden, least_sqnr_db=settings.lowering.precision.least_sqnr_db)


def calibration_of(
    settings: Settings, dataset: Dataset, routes: Sequence[Route]
) -> Calibration | None:
    """What calibrates the quantized programs of a profile; None where it has none.

    Args:
        settings: the profile.
        dataset: of the profile.
        routes: of the whole order, those that do not ship included: what ships is decided by
            programs, which are the same ones.
    """
    if not settings.quantized:
        return None
    count = settings.lowering.precision.calibration_images
    return Calibration.of(dataset, count, settings.seed, routes)
