"""Recurrent layers, which no backend runs, and recurrent cells, which LiteRT runs in a module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from pipeline.core.errors import UsageError
from pipeline.ingest.uncuttable import UncuttableError

_INSTEAD = "put nn.Conv1d over time, or nn.TransformerEncoderLayer, in its place"


def require_no_recurrence(where: str, network: nn.Module) -> None:
    """Makes sure that a network has no layers that only look like ones which can be made slimmer.

    Args:
        where: how errors call it.
        network: of which a student is to be made.

    Raises:
        UsageError: it holds torch's GRU, LSTM or RNN, or a cell of these.
    """
    _require_no_layers(where, network)
    if held := _held(network, nn.RNNCellBase):
        raise UsageError(
            f"{where} holds {held}, which cannot be made slimmer",
            f'give a student of your own, student = {{ from = "python:FILE.py:FUNCTION" }}, or '
            f"{_INSTEAD}",
        )


@contextmanager
def cutting_recurrence(where: str, network: nn.Module) -> Iterator[None]:
    """Cuts a network within, and says what is recurrent in it where that fails.

    Args:
        where: how errors call it.
        network: that is cut.

    Raises:
        UsageError: it holds torch's GRU, LSTM or RNN, or runs cells where it cannot be followed.
    """
    _require_no_layers(where, network)
    try:
        yield
    except UncuttableError as error:
        if not (held := _held(network, nn.RNNCellBase)):
            raise
        raise UsageError(
            f"{where} runs {held} in a loop, where it cannot be cut",
            f"{_INSTEAD}; for LiteRT alone, which runs cells, move cell and loop into a module",
        ) from error


def _require_no_layers(where: str, network: nn.Module) -> None:
    if held := _held(network, nn.RNNBase):
        raise UsageError(f"{where} holds {held}, which no backend runs", _INSTEAD)


def _held(network: nn.Module, kind: type[nn.Module]) -> str:
    """The first module of a kind, as errors call it; empty if there is none."""
    for path, module in network.named_modules():
        if isinstance(module, kind):
            return f"nn.{type(module).__name__} ({path})" if path else f"nn.{type(module).__name__}"
    return ""
