"""Lowers a model: every unit and every control arm, in parallel processes, each one compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.core.cluster import Cluster
from pipeline.core.work import Work
from pipeline.evaluation.parity import Parity
from pipeline.lowering.backend import Program
from pipeline.lowering.calibration import Calibration, arm_unit, model_units, resolved
from pipeline.lowering.capture import capture
from pipeline.lowering.golden import GoldenSet
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.pool import in_processes, processors
from pipeline.lowering.store import (
    LoweredArtifact,
    ParityStore,
    ProgramStore,
    content_key,
    features_key,
)
from pipeline.lowering.units import Unit
from pipeline.lowering.worker import (
    compare_stage,
    keep_lowered,
    lower_apart,
    lower_unit,
    parity_limit,
)
from pipeline.model.arm import ArmSpec
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, UnitId
from pipeline.settings import BACKENDS, PLAIN, Precision, chain_precision


@dataclass(frozen=True, slots=True)
class LoweredStage:
    """A stage and what its programs make of the golden inputs.

    Attributes:
        route: which variant each block takes.
        units: the programs in execution order.
        parity: of the chain of programs against the golden logits, on this machine.
    """

    route: Route
    units: Sequence[UnitId]
    parity: Parity


@dataclass(frozen=True, slots=True)
class LoweredArm:
    """A control arm as one program.

    Attributes:
        spec: what it is.
        artifact: its program.
        logits: of eager PyTorch on the golden inputs, float32 ``[n, classes]``.
    """

    spec: ArmSpec
    artifact: LoweredArtifact
    logits: Tensor


@dataclass(frozen=True, slots=True)
class LoweredModel:
    """All programs of a model.

    Attributes:
        artifacts: by unit.
        parameters: number of parameters by unit.
        arms: what progressive loading is compared with.
        stages: in the order of the routes.
    """

    artifacts: Mapping[UnitId, LoweredArtifact]
    parameters: Mapping[UnitId, int]
    arms: Sequence[LoweredArm]
    stages: Sequence[LoweredStage]


def lower_model(
    model: PwlModel,
    golden: GoldenSet,
    arms: Sequence[ArmSpec],
    target: LoweringTarget,
    work: Work,
    calibration: Calibration | None = None,
) -> LoweredModel:
    """Lowers what the routes of a golden set need, and the control arms beside it.

    Args:
        model: trained, in eval mode.
        golden: inputs and logits of the stages; the first all student, the last all teacher.
        arms: what progressive loading is compared with.
        target: what it is lowered for.
        work: how; programs that were lowered before are in its cache.
        calibration: what quantized units are calibrated on; None where there are none.

    Raises:
        UsageError: a module cannot be lowered whole.
        IntegrityError: a program or a stage deviates from eager PyTorch.
    """
    routes, images = golden.routes, golden.inputs
    units = model_units(model, routes, images, target.settings.precision, calibration)
    wholes = [arm_unit(model, arm, images, calibration) for arm in arms]
    everything = [*units.values(), *wholes]
    programs = _lower_all(everything, target, work)
    chains = [model.units(route) for route in routes]
    parities = _compare_stages(
        golden,
        [[programs[str(identity)] for identity in chain] for chain in chains],
        target,
        work,
    )
    return LoweredModel(
        artifacts={identity: programs[str(identity)] for identity in units},
        parameters={identity: unit.parameters for identity, unit in units.items()},
        arms=[
            LoweredArm(arm, programs[whole.name], whole.outputs)
            for arm, whole in zip(arms, wholes, strict=True)
        ],
        stages=[LoweredStage(*stage) for stage in zip(routes, chains, parities, strict=True)],
    )


def lower_units(
    model: PwlModel,
    golden: GoldenSet,
    target: LoweringTarget,
    work: Work,
    calibration: Calibration | None = None,
) -> dict[UnitId, LoweredArtifact]:
    """The programs that the routes of a golden set need, as `lower_model` gives them.

    Raises:
        UsageError: a module cannot be lowered whole.
        IntegrityError: a program deviates from eager PyTorch.
    """
    precision = target.settings.precision
    units = model_units(model, golden.routes, golden.inputs, precision, calibration)
    programs = _lower_all([*units.values()], target, work)
    return {identity: programs[unit.name] for identity, unit in units.items()}


def _lower_all(
    units: Sequence[Unit], target: LoweringTarget, work: Work
) -> dict[str, LoweredArtifact]:
    """The program of every unit by name, from the store or freshly made."""
    settings, backend = target.settings, BACKENDS[target.backend]
    store = ProgramStore(work.cache / "units", backend.suffix)
    done: dict[str, LoweredArtifact] = {}
    missing: list[tuple[str, str, Unit]] = []
    for unit in units:
        captured = capture(unit.module, unit.inputs[:1], unit.name, unit.places)
        unit = resolved(unit, captured, backend)
        key = content_key(captured, unit.inputs, *target.context(unit.quantization))
        features = features_key(unit.inputs, unit.outputs)
        if found := store.find(key, features):
            parity_limit(settings, found.precision).require(found.parity, unit.name)
            done[unit.name] = found
        else:
            missing.append((key, features, unit))
    if not missing:
        return done
    # The largest first: what the other workers wait for at the end is then small.
    missing.sort(key=lambda entry: entry[2].parameters, reverse=True)
    with work.progress.task("lower", total=len(units)) as task:
        task.advance(len(done), "starting workers")

        def received(result: tuple[str, LoweredArtifact]) -> None:
            name, lowered = result
            done[name] = lowered
            task.advance(1, f"{name}, {_deviation(lowered.parity, lowered.precision)}")

        if work.cluster is None:
            calls = [(settings, store, *entry) for entry in missing]
            in_processes(lower_unit, calls, work.processes or processors(), received)
        else:
            _lower_apart(missing, target, store, work.cluster, received)
    return done


def _lower_apart(
    missing: Sequence[tuple[str, str, Unit]],
    target: LoweringTarget,
    store: ProgramStore,
    cluster: Cluster,
    received: Callable[[tuple[str, LoweredArtifact]], None],
) -> None:
    """Lowers units on a cluster; what comes back is stored here, each as soon as it is there."""
    calls = [
        (target.settings, index, unit, store.program(key))
        for index, (key, _, unit) in enumerate(missing)
    ]

    def keep(result: tuple[int, Program, Parity]) -> None:
        index, program, parity = result
        key, features, unit = missing[index]
        received((unit.name, keep_lowered(store, (key, features), unit, program, parity)))

    cluster.run(lower_apart, calls, target.exporters, keep)


def _compare_stages(
    golden: GoldenSet,
    chains: Sequence[Sequence[LoweredArtifact]],
    target: LoweringTarget,
    work: Work,
) -> list[Parity]:
    """The parity of every stage, remembered by the content of its programs."""
    routes, images, logits = golden.routes, golden.inputs, tuple(golden.logits.values())
    store = ParityStore(work.cache / "units", target.context(None))
    keys = [
        store.key(chain, images, outputs) for chain, outputs in zip(chains, logits, strict=True)
    ]
    precisions = [chain_precision(unit.precision for unit in chain) for chain in chains]
    found = {key: parity for key in keys if (parity := store.find(key))}
    missing = [index for index, key in enumerate(keys) if key not in found]
    if missing:
        with work.progress.task("compare stages", total=len(missing)) as task:

            def received(result: tuple[int, Parity]) -> None:
                index, parity = result
                found[keys[index]] = parity
                store.keep(keys[index], parity)
                deviation = _deviation(parity, precisions[index])
                task.advance(1, f"{routes[index]}, {deviation}")

            calls = [
                (
                    target.settings,
                    index,
                    f"stage {routes[index]}",
                    chains[index],
                    images,
                    logits[index],
                )
                for index in missing
            ]
            in_processes(compare_stage, calls, work.processes or processors(), received)
    for route, key, precision in zip(routes, keys, precisions, strict=True):
        parity_limit(target.settings, precision).require(found[key], f"stage {route}")
    return [found[key] for key in keys]


def _deviation(parity: Parity, precision: Precision) -> str:
    if precision == PLAIN:
        return f"max rel error {parity.max_rel:.1e}"
    return f"{precision}, {parity.sqnr_db:.1f} dB"
