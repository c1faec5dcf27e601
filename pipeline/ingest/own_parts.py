"""The parts of a user's model as its function gives them, each of the kind that it has to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from pipeline.core.errors import UsageError
from pipeline.ingest.probe import make_writable
from pipeline.ingest.split import split_network
from pipeline.model.blocknet import BlockNet


def network_of(source: str, name: str, network: object, split: Sequence[str] = ()) -> BlockNet:
    """A network as embedder, blocks and classifier, in eval mode.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        network: as the function gives it.
        split: where it is cut if it has no such parts; see `split_network`.

    Raises:
        UsageError: it has no such parts and cannot be cut, or one of them is no module.
    """
    if split and isinstance(network, nn.Module) and not hasattr(network, "blocks"):
        taken = split_network(source, name, network, split)
    else:
        taken = _given_parts(source, name, network)
    make_writable(taken.eval())
    return taken


def _given_parts(source: str, name: str, network: object) -> BlockNet:
    blocks = _attribute(source, name, network, "blocks")
    if not isinstance(blocks, Iterable) or not (listed := list(blocks)):
        raise UsageError(
            f"{source}: the {name} has no list of blocks", "give it at least one block"
        )
    return BlockNet(
        _module(source, f"{name}'s embedder", _attribute(source, name, network, "embedder")),
        [_module(source, f"{name}'s block {i}", block) for i, block in enumerate(listed)],
        _module(source, f"{name}'s classifier", _attribute(source, name, network, "classifier")),
    )


def _attribute(source: str, name: str, network: object, attribute: str) -> object:
    if (value := getattr(network, attribute, None)) is not None:
        return value
    for inner in ("module", "_orig_mod", "model", "net", "network"):
        if getattr(getattr(network, inner, None), attribute, None) is not None:
            raise UsageError(
                f"{source}: the {name} ({type(network).__name__}) has no {attribute}, "
                "but what it wraps has",
                f"give the network itself: {name}.{inner}",
            )
    raise UsageError(
        f"{source}: the {name} ({type(network).__name__}) has no {attribute}",
        "give it the attributes embedder (perhaps nn.Identity()), blocks and classifier, or let "
        "OwnModel's split name the submodules that blocks begin with",
    )


def _module(source: str, name: str, module: object) -> nn.Module:
    if isinstance(module, nn.Module):
        return module
    raise UsageError(
        f"{source}: the {name} is {type(module).__name__}", "make it a torch.nn.Module"
    )


def converters_of(
    source: str, name: str, converters: Sequence[nn.Module | None] | None, count: int
) -> Sequence[nn.Module | None]:
    """Encoders or decoders, one behind each block but the last; None where none is given.

    Args:
        source: how errors call the user's function.
        name: how they call the converters.
        converters: as the function gives them, if it does.
        count: how many there have to be.

    Raises:
        UsageError: there are more or fewer, or one of them is no module.
    """
    if converters is None:
        return [None] * count
    if len(converters) != count:
        raise UsageError(
            f"{source}: {len(converters)} {name} for {count + 1} blocks",
            f"give {count}, one behind each block but the last, or leave {name} out",
        )
    for index, part in enumerate(converters):
        if not isinstance(part, nn.Module | None):
            raise UsageError(
                f"{source}: {name}[{index}] is {type(part).__name__}",
                "make it a torch.nn.Module or None",
            )
    return converters


def split_of(source: str, split: object, stated: Sequence[str] | None) -> Sequence[str]:
    """The submodules that blocks begin with; none where networks have blocks.

    Args:
        source: how errors call the user's function.
        split: what the function gives, if it does.
        stated: what the profile says, if it does.

    Raises:
        UsageError: it is something else than a list of paths, or the two differ.
    """
    if split is None:
        return stated or ()
    if stated is not None and split != [*stated]:
        raise UsageError(
            f"{source}: split is {split!r}, and in the profile {[*stated]!r}",
            "say it in one place: in the profile or in OwnModel",
        )
    match split:
        case [_, *_] if all(isinstance(path, str) and path for path in split):
            return [str(path) for path in split]
    raise UsageError(f"{source}: split is {split!r}", "give a list of submodules' paths, or None")


def image_shape_of(source: str, shape: object) -> tuple[int, int, int]:
    """Channels, height and width of one image.

    Raises:
        UsageError: it is something else.
    """
    match shape:
        case (int(channels), int(height), int(width)) if min(channels, height, width) > 0:
            return channels, height, width
    raise UsageError(f"{source}: image_shape is {shape!r}", "give (channels, height, width)")
