"""Where a user's network was when it failed."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def failing_modules(error: BaseException) -> Iterator[nn.Module]:
    """The modules whose code was running when something failed, the innermost first.

    Args:
        error: raised by it, and caught.
    """
    found: list[nn.Module] = []
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_locals.get("self")
        if isinstance(module, nn.Module):
            found.append(module)
        trace = trace.tb_next
    return reversed(found)


def failing_part(network: nn.Module, error: Exception) -> str:
    """The innermost module of a network that was running when it failed; empty if it is none.

    Args:
        network: that ran.
        error: raised by it, and caught.
    """
    paths = {module: path for path, module in network.named_modules()}
    return next((paths[each] for each in failing_modules(error) if paths.get(each)), "")
