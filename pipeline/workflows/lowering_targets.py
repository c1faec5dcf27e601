"""What the model of a profile is lowered for, and the look ahead at whether it can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.work import Work
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.packages import export_versions
from pipeline.settings import BACKENDS, BackendName, Settings, SourceModel, for_backend

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.model.pwl import BeforeTraining, PwlModel


def target_of(settings: Settings) -> LoweringTarget:
    """What the model of a profile with one backend is lowered for.

    Raises:
        UsageError: it needs TensorFlow, which is not installed.
    """
    (backend,) = settings.lowering.backend
    model = settings.model
    keras = isinstance(model, SourceModel) and model.kind == "keras"
    exporters = export_versions(BACKENDS[backend], keras=keras, quantized=settings.quantized)
    return LoweringTarget(settings.lowering, exporters)


def targets_of(settings: Settings, backends: Sequence[BackendName]) -> list[LoweringTarget]:
    """The same for each of several backends.

    Raises:
        UsageError: as for `target_of`.
    """
    return [target_of(for_backend(settings, backend)) for backend in backends]


def preflight_of(
    settings: Settings, backends: Sequence[BackendName], work: Work
) -> BeforeTraining | None:
    """What to call with the model of a profile before it is trained; None where there is no need.

    There is none for a family's model: tests/test_other_models_end_to_end.py and the tests of
    bundles lower all families for all backends.

    Args:
        settings: the profile.
        backends: that its model is to be lowered for.
        work: how they are lowered.
    """
    if not isinstance(settings.model, SourceModel):
        return None
    from pipeline.lowering.preflight import PreflightScope, preflight

    targets = targets_of(settings, backends)
    wanted = PreflightScope(settings.schedule.orders, settings.arm)

    def before_training(model: PwlModel, image_shape: tuple[int, ...]) -> None:
        preflight(model, image_shape, wanted, targets, work)

    return before_training
