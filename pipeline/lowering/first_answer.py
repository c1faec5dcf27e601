"""What loading and running an untrained network takes: its programs, and their time here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from torch import nn

from pipeline.core.work import Work
from pipeline.lowering.calibration import Calibration, model_units, resolved
from pipeline.lowering.capture import capture
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.pool import in_processes, processors
from pipeline.lowering.registry import backend_for
from pipeline.lowering.units import Unit
from pipeline.lowering.untrained import randomized, untrained_images
from pipeline.lowering.worker import lower_untrained, quiet
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, Variant
from pipeline.settings import BACKENDS

#: How often loading, or the first answer, is timed.
_RUNS = 9


def lowered_chain(
    network: BlockNet,
    shape: Sequence[int],
    target: LoweringTarget,
    work: Work,
    variant: Variant = Variant.STUDENT,
) -> list[bytes]:
    """The programs of an untrained network, block by block, as they would ship.

    Args:
        network: in eval mode, as it comes in; it stays as it is.
        shape: of one input.
        target: what it is lowered for.
        work: how.
        variant: what it is, on which its precision depends.

    Raises:
        UsageError: a block cannot be lowered whole.
        IntegrityError: a program deviates from eager PyTorch.
    """
    none = [nn.Identity() for _ in range(len(network) - 1)]
    model = randomized(PwlModel(network, network, none, none))
    images = untrained_images(shape)
    route = Route((variant,) * model.blocks)
    calibration = Calibration(images, [route])
    precision = target.settings.precision
    units = [*model_units(model, [route], images, precision, calibration).values()]
    calls = [(target.settings, index, _captured(unit, target)) for index, unit in enumerate(units)]
    found: dict[int, bytes] = {}

    def received(result: tuple[int, bytes]) -> None:
        found[result[0]] = result[1]

    if work.cluster is None:
        in_processes(lower_untrained, calls, work.processes or processors(), received)
    else:
        work.cluster.run(lower_untrained, calls, target.exporters, received)
    return [found[index] for index in range(len(units))]


def first_answer_ms(chain: list[bytes], shape: Sequence[int], target: LoweringTarget) -> float:
    """From programs in memory to the first answer by the backend's Python runtime; the median."""
    backend, image = backend_for(target.settings), untrained_images(shape)[:1]
    times = []
    with quiet("the student"):
        for _ in range(_RUNS + 1):  # what is loaded once in a process is loaded by the first
            begin = time.perf_counter()
            backend.run(chain, image)
            times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[1:])


def load_times_ms(chain: list[bytes], target: LoweringTarget) -> list[float]:
    """From each program in memory to one that is ready to run; medians, all of them in turns."""
    backend = backend_for(target.settings)
    times: list[list[float]] = [[] for _ in chain]
    with quiet("the network"):
        for _ in range(_RUNS + 1):
            for program, found in zip(chain, times, strict=True):
                begin = time.perf_counter()
                loaded = backend.load(program)
                found.append(1000 * (time.perf_counter() - begin))
                del loaded
    return [statistics.median(found[1:]) for found in times]


def _captured(unit: Unit, target: LoweringTarget) -> Unit:
    captured = capture(unit.module, unit.inputs[:1], unit.name, unit.places)
    return resolved(unit, captured, BACKENDS[target.backend])
