"""Where a user's network was when it failed."""

from __future__ import annotations

from torch import nn


def failing_part(network: nn.Module, error: Exception) -> str:
    """The innermost module of a network that was running when it failed; empty if it is none.

    Args:
        network: that ran.
        error: raised by it, and caught.
    """
    paths = {id(module): path for path, module in network.named_modules()}
    found, trace = "", error.__traceback__
    while trace is not None:
        found = paths.get(id(trace.tb_frame.f_locals.get("self"))) or found
        trace = trace.tb_next
    return found
