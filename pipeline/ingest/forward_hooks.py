"""Forward hooks of modules whose calls are written down by torch.fx."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from torch import nn


def shown_to_hooks(module: nn.Module, args: tuple[Any, ...], given: Any) -> Any:
    """What a module's call gives in a graph, shown to its hooks: some networks keep features so.

    What a hook gives back is left alone, for it takes part when the module runs.

    Args:
        module: whose hooks.
        args: of the call.
        given: the proxy of what it gives.
    """
    for key, hook in module._forward_hooks.items():
        named: tuple[Any, ...] = ({},) if key in module._forward_hooks_with_kwargs else ()
        with suppress(Exception):  # it looks at values: it keeps none of them
            hook(module, args, *named, given)
    return given
