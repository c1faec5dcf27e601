"""Where the numbers of a training run are written down, for TensorBoard or for nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.core.errors import UsageError

if TYPE_CHECKING:  # an optional extra
    from torch.utils.tensorboard import SummaryWriter


class PhaseLog(Protocol):
    """The numbers of one phase."""

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Writes numbers by name; `step` is the batches that the phase has seen by then."""
        ...


class TrainingLog(Protocol):
    """A log for each phase of a run."""

    def phase(self, name: str, first: int) -> AbstractContextManager[PhaseLog]:
        """The log of a phase whose numbers come after step `first`.

        What an earlier run wrote there of later steps is void: this run goes through them again.
        """
        ...


class NoTrainingLog:
    """Writes nothing down."""

    @contextmanager
    def phase(self, name: str, first: int) -> Iterator[PhaseLog]:
        yield _NoPhaseLog()


class _NoPhaseLog:
    def write(self, numbers: Mapping[str, float], step: int) -> None:
        pass


class TensorBoardLog:
    """Event files, in a folder for each phase.

    Args:
        folder: what `tensorboard --logdir` is given; made when it is missing.

    Raises:
        UsageError: the package `tensorboard` is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise UsageError(
                "--logs needs the package `tensorboard`, which is not installed",
                "pip install 'tensorboard>=2.20'",
            ) from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{folder}: cannot be made: {error.strerror}", "name another folder for --logs"
            ) from None
        self._folder = folder

    @contextmanager
    def phase(self, name: str, first: int) -> Iterator[PhaseLog]:
        from torch.utils.tensorboard import SummaryWriter

        # purge_step has readers forget what was written at that step or later.
        with SummaryWriter(str(self._folder / name), purge_step=first + 1) as writer:
            yield _TensorBoardPhaseLog(writer)


class _TensorBoardPhaseLog:
    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, step)
        self._writer.flush()
