"""The preflight: every unit lowered before anything is trained, so that no refusal comes after it.

What a backend takes depends on the operators and shapes of a unit, not on its weights. So the units
are lowered as they are before training, with weights at which no operator agrees by luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.atomic_files import write_text
from pipeline.core.errors import IntegrityError, PipelineError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.work import Work
from pipeline.lowering.calibration import Calibration, arm_unit, model_units, resolved
from pipeline.lowering.capture import capture
from pipeline.lowering.graph import operators_of
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.pool import in_processes, processors
from pipeline.lowering.precision import Quantization
from pipeline.lowering.refusal import NotLoweredError
from pipeline.lowering.units import Unit
from pipeline.lowering.untrained import randomized, untrained_images
from pipeline.lowering.worker import try_unit
from pipeline.model.arm import ArmSpec, arms_of
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, Variant, prefix_routes, suffix_routes
from pipeline.settings import BACKENDS, ArmSettings, OrderName, PrecisionSettings


@dataclass(frozen=True, slots=True)
class PreflightScope:
    """What is going to be lowered of a model.

    Attributes:
        orders: the candidates for the order in which blocks arrive; they decide which converters
            are needed.
        arms: the ``[[arm]]`` tables.
    """

    orders: Sequence[OrderName]
    arms: Sequence[ArmSettings] = ()


def preflight(
    model: PwlModel,
    image_shape: tuple[int, ...],
    wanted: PreflightScope,
    targets: Sequence[LoweringTarget],
    work: Work,
) -> None:
    """Refuses a model that some backend would refuse after its training.

    Args:
        model: before training; it stays as it is.
        image_shape: channels, height, width of one image.
        wanted: what is going to be lowered of it.
        targets: each backend that the model is to be lowered for.
        work: how they are lowered; the structures that were are remembered in its cache.

    Raises:
        UsageError: some units cannot be lowered whole; all operators in the way are listed.
        IntegrityError: all can, but some deviate from eager PyTorch.
    """
    arms = arms_of(wanted.arms, model.blocks)
    routes = _routes(model.blocks, wanted.orders)
    precision = targets[0].settings.precision
    if precision.first_teacher:
        routes.append(Route((Variant.TEACHER_INT8,) * model.blocks))
    units, wholes = _units(randomized(model), routes, arms, image_shape, precision)
    trials = _Trials(_Passed(work.cache / "preflight"), work)
    trials.run(targets, units)
    # A whole network is refused for what its units are refused for, and for little else.
    refused = {backend for backend, _ in trials.errors}
    if left := [target for target in targets if target.backend not in refused]:
        trials.run(left, wholes)
    if trials.errors:
        raise _listed(trials.errors)


class _Trials:
    """Units that are lowered to see whether they can be, and what was in the way.

    Attributes:
        errors: with the names of the backends.
    """

    def __init__(self, passed: _Passed, work: Work) -> None:
        self.errors: list[tuple[str, PipelineError]] = []
        self._passed = passed
        self._work = work

    def run(self, targets: Sequence[LoweringTarget], units: Sequence[Unit]) -> None:
        """Lowers every unit for every target, but for those of a structure that was lowered."""
        alike: dict[str, list[tuple[LoweringTarget, Unit]]] = {}
        for unit in units:
            try:
                captured = capture(unit.module, unit.inputs[:1], unit.name, unit.places)
            except PipelineError as error:
                self.errors += [(target.backend, error) for target in targets]
                continue
            # Of the operators: what makes a user's code choose them need not show in its modules.
            structure = [operators_of(captured).structure, [*unit.inputs.shape]]
            for target in targets:
                try:
                    tried = resolved(unit, captured, BACKENDS[target.backend])
                except PipelineError as error:
                    self.errors.append((target.backend, error))
                    continue
                key = _key(structure, target, tried.quantization)
                if key not in self._passed:
                    alike.setdefault(key, []).append((target, tried))
        refused = self._lower([(key, *group[0]) for key, group in alike.items()])
        # Those that are built like a refused one are refused, too, each with places of its own.
        self._lower([(key, *one) for key in refused for one in alike[key][1:]])

    def _lower(self, work: Sequence[tuple[str, LoweringTarget, Unit]]) -> list[str]:
        """Lowers units under the names of their structures, and gives those that were refused."""
        if not work:
            return []
        # The largest first: what the other workers wait for at the end is then small.
        order = sorted(work, key=lambda entry: entry[2].parameters, reverse=True)
        calls = [(target.settings, index, unit) for index, (_, target, unit) in enumerate(order)]
        refused: list[str] = []
        with self._work.progress.task("try to lower", total=len(calls)) as task:
            task.advance(0, "starting workers")

            def received(result: tuple[int, PipelineError | None]) -> None:
                index, error = result
                key, target, unit = order[index]
                if error is None:
                    self._passed.add(key)
                else:
                    refused.append(key)
                    self.errors.append((target.backend, error))
                outcome = "refused" if error else "can be lowered"
                task.advance(1, f"{unit.name} {outcome} ({target.backend})")

            if self._work.cluster is None:
                in_processes(try_unit, calls, self._work.processes or processors(), received)
            else:
                packages = [name for _, target, _ in order for name in target.exporters]
                self._work.cluster.run(try_unit, calls, packages, received)
        return refused


def _key(
    structure: Sequence[object], target: LoweringTarget, quantization: Quantization | None
) -> str:
    """Names a trial: all that it depends on whether a unit of some structure can be lowered.

    What calibrates it does not count: it is another for each of two blocks that are built alike.
    """
    recipe = quantization and replace(quantization, calibration=None)
    limits = [target.backend, target.settings.tolerance]
    return fingerprint([*structure], target.context(recipe), limits)


def _routes(blocks: int, orders: Sequence[OrderName]) -> list[Route]:
    """Routes that need every unit which the candidate orders may need."""
    found: list[Route] = []
    if {*orders} - {"suffix"}:
        found += prefix_routes(blocks)  # every encoder
    if {*orders} - {"prefix"}:
        found += suffix_routes(blocks)  # every decoder
    return list(dict.fromkeys(found))


def _units(
    model: PwlModel,
    routes: Sequence[Route],
    arms: Sequence[ArmSpec],
    image_shape: tuple[int, ...],
    precision: PrecisionSettings,
) -> tuple[list[Unit], list[Unit]]:
    """The units of a model, and the whole networks that they are compared with.

    Those that are to be quantized are calibrated on the images that they are compared on.
    """
    images = untrained_images(image_shape)
    calibration = Calibration(images, routes)
    units = model_units(model, routes, images, precision, calibration)
    wholes = [arm_unit(model, arm, images, calibration) for arm in arms]
    return list(units.values()), wholes


def _listed(errors: Sequence[tuple[str, PipelineError]]) -> PipelineError:
    """One error for all."""
    deviate_only = all(isinstance(error, IntegrityError) for _, error in errors)
    pairs = [pair for backend, error in errors for pair in _causes(backend, error)]
    lines = "".join(f"\n  {line}" for line in dict.fromkeys(line for line, _ in pairs))
    remedies = dict.fromkeys(remedy for _, remedy in pairs if remedy)
    what = f"the model cannot be lowered, so nothing was trained:{lines}"
    return (IntegrityError if deviate_only else UsageError)(what, "; ".join(remedies))


def _causes(backend: str, error: PipelineError) -> Iterator[tuple[str, str]]:
    """What is wrong, a line each, with its remedy."""
    if isinstance(error, NotLoweredError):
        for refusal in error.refusals:
            yield f"{backend}: {refusal}", refusal.remedy
    else:
        yield f"{backend}: {error.what}", error.remedy


class _Passed:
    """The structures that were lowered; those that were refused are tried anew each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def add(self, key: str) -> None:
        write_text(self._path(key), "")

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:32]}.lowered"
