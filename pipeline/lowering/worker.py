"""What runs in a worker process: one program lowered and compared, or one stage compared."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from pipeline.core.errors import PipelineError, UsageError
from pipeline.evaluation.parity import Parity, ParityLimit
from pipeline.lowering.backend import Program, TensorSpec
from pipeline.lowering.registry import backend_for
from pipeline.lowering.registry_walk import walked_once
from pipeline.lowering.store import LoweredArtifact, ProgramStore
from pipeline.lowering.units import Unit
from pipeline.settings import PLAIN, LoweringSettings, Precision, chain_precision

#: Of a program that does not compute something else; noise as large as the signal has 0.
_UNTRAINED_DB = 6.0


def lower_unit(
    settings: LoweringSettings, store: ProgramStore, key: str, features: str, unit: Unit
) -> tuple[str, LoweredArtifact]:
    """Lowers one unit, compares it with eager PyTorch and stores it under `key` and `features`.

    What was lowered before and compared on other features is only compared.

    The unit's module is captured: a module as its user wrote it may be of a file that a worker
    process cannot import. Its outputs, for the probes too, are those of the module as it was.

    Raises:
        NotLoweredError: it cannot be lowered whole.
        IntegrityError: it deviates.
    """
    known = store.program(key)
    program, parity = lowered(settings, unit, known)
    return unit.name, keep_lowered(store, (key, features), unit, program, parity)


def keep_lowered(
    store: ProgramStore, keys: tuple[str, str], unit: Unit, program: Program, parity: Parity
) -> LoweredArtifact:
    """Stores what `lowered` made of a unit, under its keys for the program and its features."""
    key, features = keys
    if store.program(key) is None:
        edges = (TensorSpec.of(unit.inputs), TensorSpec.of(unit.outputs))
        store.keep(key, program, edges, unit.precision)
    return store.keep_parity(key, features, parity)


def try_unit(
    settings: LoweringSettings, index: int, unit: Unit
) -> tuple[int, PipelineError | None]:
    """Lowers one unit and compares it, as `lower_unit` does, but keeps nothing.

    Weights that were never trained may quantize badly: a program that computes what it should, and
    no more, is enough.

    Returns:
        The index, as it was given, and what is wrong with the unit, if anything is.
    """
    try:
        lowered(_untrained(settings), unit)
    except PipelineError as error:
        return index, error
    return index, None


def lower_untrained(settings: LoweringSettings, index: int, unit: Unit) -> tuple[int, bytes]:
    """The program of a unit whose weights were never trained, compared as `try_unit` does.

    Returns:
        The index, as it was given, and the bytes of the program.

    Raises:
        NotLoweredError: it cannot be lowered whole.
        IntegrityError: it deviates.
    """
    program, _ = lowered(_untrained(settings), unit)
    return index, program.data


def _untrained(settings: LoweringSettings) -> LoweringSettings:
    precision = settings.precision.model_copy(update={"least_sqnr_db": _UNTRAINED_DB})
    return settings.model_copy(update={"precision": precision})


def lower_apart(
    settings: LoweringSettings, index: int, unit: Unit, program: Program | None
) -> tuple[int, Program, Parity]:
    """Lowers one unit as `lower_unit` does, where no store of its caller can be reached.

    Returns:
        The index, as it was given, the program, and how far it deviates from eager PyTorch.

    Raises:
        NotLoweredError: it cannot be lowered whole.
        IntegrityError: it deviates.
    """
    return (index, *lowered(settings, unit, program))


def lowered(
    settings: LoweringSettings, unit: Unit, program: Program | None = None
) -> tuple[Program, Parity]:
    """The program of a unit, and how far it deviates from eager PyTorch.

    Args:
        settings: the ``[lowering]`` table, with one backend.
        unit: its module captured; see `lower_unit`.
        program: of the unit, where there is one, which is then only compared.

    Raises:
        NotLoweredError: it cannot be lowered whole.
        IntegrityError: it deviates.
    """
    torch.set_num_threads(1)
    backend = backend_for(settings)
    with quiet(unit.name), walked_once():
        program = program or backend.lower(
            unit.module, unit.inputs[:1], unit.name, unit.quantization
        )
        outputs = backend.run([program.data], unit.inputs)
        # Scales that were found on real features say nothing about what no image gives.
        probes = unit.probes if unit.quantization is None else ()
        probed = [backend.run([program.data], probe) for probe, _ in probes]
    for found, (_, expected) in zip(probed, probes, strict=True):
        parity = Parity.of(found.numpy(), expected.numpy())
        parity_limit(settings, PLAIN).require(parity, f"{unit.name}, probed,")
    parity = Parity.of(outputs.numpy(), unit.outputs.numpy())
    parity_limit(settings, unit.precision).require(parity, unit.name)
    return program, parity


def parity_limit(settings: LoweringSettings, precision: Precision) -> ParityLimit:
    """What a program, or a chain of some, is held against, by what it computes with."""
    least = None if precision == PLAIN else settings.precision.least_sqnr_db
    return ParityLimit(settings.tolerance, least)


def compare_stage(
    settings: LoweringSettings,
    index: int,
    name: str,
    chain: Sequence[LoweredArtifact],
    images: Tensor,
    logits: Tensor,
) -> tuple[int, Parity]:
    """Runs a stage's programs one after the other and compares the logits with eager PyTorch.

    Returns:
        The stage's index, as it was given, and its parity.

    Raises:
        IntegrityError: they deviate.
    """
    torch.set_num_threads(1)
    with quiet(name):
        outputs = backend_for(settings).run([unit.path.read_bytes() for unit in chain], images)
    parity = Parity.of(outputs.numpy(), logits.numpy())
    limit = parity_limit(settings, chain_precision(unit.precision for unit in chain))
    limit.require(parity, name)
    return index, parity


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Keeps the exporters' chatter, native code's too, off the terminal unless something fails."""
    with tempfile.TemporaryFile() as sink:
        kept = os.dup(1), os.dup(2)
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except PipelineError:
            raise
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            raise UsageError(
                f"{name} cannot be lowered: {type(cause).__name__}: {cause}",
                "write the module in terms of operators that the backend takes",
            ) from error
        finally:
            for number, saved in zip((1, 2), kept, strict=True):
                os.dup2(saved, number)
                os.close(saved)
