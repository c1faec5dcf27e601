"""The parts of a user's model as its function gives them, each of the kind that it has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipeline.core.errors import UsageError
from pipeline.ingest.probe import make_writable, probe_images
from pipeline.ingest.python import OwnModel
from pipeline.ingest.recurrence import cutting_recurrence
from pipeline.ingest.separate import separate
from pipeline.ingest.split import split_network
from pipeline.ingest.split_candidates import MeasuredSplit, measured_split
from pipeline.model.blocknet import BlockNet

#: Gives channels, height and width of a profile's images.
ImageShape = Callable[[], tuple[int, ...]]


def stated_model(source: str, given: object, images: ImageShape | None) -> OwnModel:
    """What a function gives; a network alone is a teacher, for images of the profile's shape.

    Args:
        source: how errors call the function.
        given: by it.
        images: what knows their shape, if there is a profile.

    Raises:
        UsageError: it is neither a model nor a network, or nobody knows the shape.
    """
    if isinstance(given, OwnModel):
        return given
    if not isinstance(given, nn.Module):
        raise UsageError(
            f"{source} gave {type(given).__name__}",
            "return pipeline.ingest.python.OwnModel, or a torch.nn.Module as the teacher alone",
        )
    if images is None:
        raise UsageError(
            f"{source} gave a network alone ({type(given).__name__}): neither the shape of its "
            "images nor a student",
            "name the profile (.toml) instead, or return pipeline.ingest.python.OwnModel",
        )
    return OwnModel(given, None, images())


def network_of(
    source: str,
    name: str,
    network: object,
    split: Sequence[str],
    shape: tuple[int, ...],
    measured: MeasuredSplit | None = None,
) -> BlockNet:
    """A network as embedder, blocks and classifier, in eval mode.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        network: as the function gives it.
        split: where it is cut if it has no such parts; see `split_network` and `measured_split`.
        shape: channels, height, width of its images.
        measured: asked where split is to be measured.

    Raises:
        UsageError: it has no such parts and cannot be cut, or one of them is no module.
    """
    if split and isinstance(network, nn.Module) and not has_parts(network):
        require_cuttable(source, name, network)
        with cutting_recurrence(f"{source}: the {name}", network):
            found = measured_split(source, name, network.eval(), split, shape, measured)
            taken = split_network(source, name, network, found, probe_images(shape))
        separate(taken)
    else:
        taken = _given_parts(source, name, network)
    _require_made(source, name, taken)
    make_writable(taken.eval())
    return taken


def require_cuttable(source: str, name: str, network: nn.Module) -> None:
    """Makes sure that a network is one that can be run and looked into.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        network: that is to be cut.

    Raises:
        UsageError: it is wrapped, TorchScript, of another type than float32 or without shapes.
    """
    kind = f"{source}: the {name} is {type(network).__name__}"
    if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise UsageError(kind, f"give the network itself: {name}.module")
    if isinstance(network, torch.jit.ScriptModule):
        raise UsageError(
            f"{kind}, TorchScript, which cannot be cut",
            "give the module as it was before torch.jit.script or torch.jit.trace",
        )
    if hasattr(network, "_orig_mod"):
        raise UsageError(f"{kind} of torch.compile", f"give the network itself: {name}._orig_mod")
    _require_made(source, name, network)
    for path, tensor in (*network.named_parameters(), *network.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UsageError(f"{source}: the {name}'s {path} is {kind}", "call .float() on it")


def _require_made(source: str, name: str, network: nn.Module) -> None:
    tensors = (*network.named_parameters(), *network.named_buffers())
    if lazy := [path for path, tensor in tensors if is_lazy(tensor)]:
        raise UsageError(
            f"{source}: the {name}'s {lazy[0]} has no shape before it is run for the first time",
            "run the network once before it is given, on zeros of an image's shape",
        )


def has_parts(network: object) -> bool:
    """Whether a network has the three attributes of `pipeline.ingest.python.Network`."""
    parts = ("embedder", "blocks", "classifier")
    return all(getattr(network, part, None) is not None for part in parts)


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
        "give it the attributes embedder (perhaps nn.Identity()), blocks and classifier, or say "
        'where it is cut: split = "auto:4", or the submodules that blocks begin with, in [model], '
        "in OwnModel, or beside from in [model] student; python -m pipeline.inspect shows them",
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
    if isinstance(split, str) and split.startswith("auto:"):
        split = [split]
    if stated is not None and split != [*stated]:
        raise UsageError(
            f"{source}: split is {split!r}, and in the profile {[*stated]!r}",
            "say it in one place: in the profile or in OwnModel",
        )
    match split:
        case [_, *_] if all(isinstance(path, str) and path for path in split):
            return [str(path) for path in split]
    raise UsageError(
        f"{source}: split is {split!r}", 'give a list of submodules\' paths, "auto:4", or None'
    )


def image_shape_of(source: str, shape: object) -> tuple[int, ...]:
    """Channels, height and width of one image, or the shape of another tensor.

    Raises:
        UsageError: it is something else.
    """
    sizes = [size for size in shape if isinstance(size, int)] if isinstance(shape, Sequence) else []
    if isinstance(shape, Sequence) and len(sizes) == len(shape) > 0 and min(sizes) > 0:
        return tuple(sizes)
    raise UsageError(
        f"{source}: image_shape is {shape!r}",
        "give (channels, height, width), or the sizes of another tensor without the batch axis",
    )
