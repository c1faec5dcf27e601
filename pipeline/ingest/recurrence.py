"""Recurrent layers, which no backend runs."""

from __future__ import annotations

from torch import nn

from pipeline.core.errors import UsageError


def require_no_recurrence(where: str, network: nn.Module) -> None:
    """Makes sure that a network has no layers that only look like ones which can be made slimmer.

    Args:
        where: how errors call it.
        network: of which a student is to be made.

    Raises:
        UsageError: it holds torch's GRU, LSTM or RNN.
    """
    for path, module in network.named_modules():
        if isinstance(module, nn.RNNBase):
            raise UsageError(
                f"{where} holds nn.{type(module).__name__} ({path}), which no backend runs",
                "put nn.Conv1d over time, or nn.TransformerEncoderLayer, in its place",
            )
