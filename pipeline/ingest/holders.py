"""Which modules of a network are looked into where it is to be cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from torch import Tensor, nn

from pipeline.ingest.fx_trace import traced
from pipeline.ingest.uncuttable import UncuttableError

SEQUENCES = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def followed(where: str, network: nn.Module, images: Tensor) -> tuple[set[str], dict[str, str]]:
    """The modules of a network that are looked into, and why others that should be cannot.

    Sequences are, and what holds one of blocks.

    Args:
        where: how errors call the network.
        network: one tensor of images to one tensor of logits, in eval mode.
        images: some, ``[n, channels, height, width]``.

    Raises:
        UncuttableError: what it does around its parts depends on values.
    """
    holders: set[str] = set()
    closed: dict[str, str] = {}
    traced(where, network, holders, images)
    for path in _holders(network):
        if any(path.startswith(f"{outer}.") for outer in closed):
            continue
        try:
            traced(where, network, holders | {path}, images)
        except UncuttableError as error:
            closed[path] = error.why
        else:
            holders.add(path)
    return holders, closed


def _holders(network: nn.Module) -> Iterator[str]:
    """Sequences, and what holds one of blocks, outermost first."""
    waiting: list[tuple[str, nn.Module]] = [("", network)]
    while waiting:
        path, module = waiting.pop(0)
        if path:
            yield path
        for name, child in module.named_children():
            if isinstance(child, SEQUENCES) or holds_blocks(child):
                waiting.append((f"{path}.{name}" if path else name, child))


def holds_blocks(module: nn.Module) -> bool:
    """Whether most parts of a sequence in it are of one class with parts of its own.

    Layers and their activations in one, as torchvision has them, are a sequence themselves.
    """
    for sequence in module.modules():
        if isinstance(sequence, SEQUENCES):
            parts = [*sequence.children()]
            blocks = Counter(
                type(part)
                for part in parts
                if [*part.children()] and not isinstance(part, SEQUENCES)
            )
            if blocks and 2 * max(blocks.values()) >= len(parts):
                return True
    return False


def idle(holders: Collection[str], targets: Collection[str]) -> set[str]:
    """The innermost of what is looked into that holds none of some modules, such as a residual
    block with branches: where nothing can be cut inside, it may be cut before it as a whole.
    """
    return {
        path
        for path in holders
        if not any(each.startswith(f"{path}.") for each in (*targets, *holders))
    }


def holds_tensors(value: object) -> bool:
    """Whether a value is a tensor, or a list, tuple or table with one in it."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        return any(holds_tensors(each) for each in value)
    return isinstance(value, Tensor)
