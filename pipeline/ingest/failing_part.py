"""Where a user's network was when it failed."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
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


def user_frames(error: BaseException) -> Sequence[traceback.FrameSummary]:
    """The lines of a user's that were running when something failed, the innermost last.

    Those of graphs, whose code torch makes, are among them.

    Args:
        error: raised by them, and caught.
    """
    others = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent), "<frozen")
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not frame.filename.startswith(others)]


def failing_part(network: nn.Module, error: Exception) -> str:
    """The innermost module of a network that was running when it failed; empty if it is none.

    Args:
        network: that ran.
        error: raised by it, and caught.
    """
    paths = {module: path for path, module in network.named_modules()}
    return next((paths[each] for each in failing_modules(error) if paths.get(each)), "")
