"""Runs somebody's modules on a few random images, and says what would break later, and where.

Blocks of teacher and student can be exchanged only where each maps one tensor to one tensor, image
by image, and leaves its input as it was: others read it, too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.core.errors import PipelineError, UsageError
from pipeline.core.freed_memory import filled_memory
from pipeline.data.memory_order import natural_order
from pipeline.ingest.failing_part import user_frames
from pipeline.model.blocknet import BlockNet
from pipeline.model.wrapping import input_advice, load_advice

#: An image alone and in a batch may differ by float sums in another order, and by no more.
_RELATIVE = 1e-3
_IMAGES = 2  # images differ from one another, and batch normalization can train on them
_FRAMES = 4


@contextmanager
def user_code(source: str, what: str) -> Iterator[None]:
    """Around code of a user's: what it raises becomes a `UsageError` that says where."""
    try:
        yield
    except PipelineError:
        raise
    except (Exception, SystemExit) as error:
        message = str(error)
        advice = load_advice(message) or input_advice(message) or _file_advice(error)
        raise UsageError(
            f"{source}: {what} failed: {type(error).__name__}: {error}{_frames(error)}",
            advice or "correct the code named above",
        ) from error


def _file_advice(error: BaseException) -> str | None:
    """What to do where `torch.load` failed: of what is no checkpoint it says the oddest things."""
    frames = traceback.extract_tb(error.__traceback__)
    loading = any(frame.filename == torch.serialization.__file__ for frame in frames)
    if not loading or isinstance(error, OSError):
        return None
    return "see whether the file that it reads is what torch.save wrote, and was fetched whole"


def probe_images(shape: tuple[int, ...]) -> Tensor:
    """Random images, float32 ``[2, channels, height, width]``, as normalized images lie in memory,
    or other tensors ``[2, ...]``.

    The same every time, and the random numbers of the caller stay as they are.
    """
    images = torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    return natural_order(images)


@torch.no_grad()
def run_network(source: str, name: str, network: BlockNet, images: Tensor) -> list[Tensor]:
    """What every block and then the classifier make of some images, in the network's mode.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        network: in eval mode, or in training mode; its state is then as before.
        images: as `probe_images` makes them.

    Raises:
        UsageError: a part fails, gives no float32 tensor of finite values with one entry an image,
            changes its input in place, or (in eval mode) gives an image alone another answer.
    """
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    outputs: list[Tensor] = []
    features = images
    if not isinstance(network.embedder, nn.Identity):
        features = run_module(source, f"the {name}'s embedder", network.embedder, features)
    for index, block in enumerate(network.blocks):
        # Nothing else reads what an embedder gives: it is one program with the first block.
        alone = index == 0 and features is not images
        features = run_module(source, f"{name} block {index}", block, features, own_input=alone)
        outputs.append(features)
    classify = network.classifier
    outputs.append(
        run_module(source, f"the {name}'s classifier", classify, features, own_input=True)
    )
    if network.training:
        network.load_state_dict(state)
    return outputs


@torch.no_grad()
def run_module(
    source: str, name: str, module: nn.Module, features: Tensor, *, own_input: bool = False
) -> Tensor:
    """What one module makes of features ``[n, ...]``.

    Args:
        source: how errors call the user's function.
        name: how they call the module.
        module: in either mode.
        features: its input.
        own_input: it may change its input, which nothing else reads.

    Raises:
        UsageError: see `run_network`.
    """
    given = features.clone()
    version = given._version
    with user_code(source, f"{name}, given {list(features.shape)},"), filled_memory():
        outputs = module(given)
    found = _require_tensor(source, name, outputs, len(features))
    if not own_input and (given._version != version or not torch.equal(given, features)):
        raise UsageError(
            f"{source}: {name} changes its input in place, which other blocks and the training "
            "still need",
            "write y = x + z in place of x += z, and begin with nn.ReLU(inplace=False)",
        )
    if not module.training:
        with user_code(source, name), filled_memory():
            alone = module(features[:1].clone())
        single = _require_tensor(source, name, alone, 1)
        tolerance = _RELATIVE * float(found.abs().max())
        if not torch.allclose(single, found[:1], rtol=0, atol=tolerance):
            raise UsageError(
                f"{source}: {name} gives an image alone another answer than in a batch, in eval "
                "mode",
                "let it use neither random numbers nor the batch's statistics then, nor what "
                "earlier calls left in it, nor conditions on values or on the number of images",
            )
    return found


@torch.no_grad()
def make_writable(network: nn.Module) -> None:
    """Gives expanded parameters and buffers an element of memory for each of their entries.

    Nothing can be written into them otherwise, neither by training nor from a checkpoint.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        steps = zip(tensor.shape, tensor.stride() if _strided(tensor) else (), strict=False)
        if any(size > 1 and step == 0 for size, step in steps):
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def _strided(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided


def require_plain_state(source: str, parts: Mapping[str, nn.Module]) -> None:
    """Checks parameters and buffers.

    Args:
        source: how errors call the user's function.
        parts: modules by name.

    Raises:
        UsageError: some are not float32 on the processor, or two share their memory.
    """
    owners: dict[int, list[tuple[range, str]]] = {}
    for part, module in parts.items():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if not isinstance(tensor, Tensor):
                raise UsageError(
                    f"{source}: the {part}'s {name} is {type(tensor).__name__} in its state dict",
                    "let get_extra_state give a tensor, or keep it in a buffer",
                )
            if tensor.device.type != "cpu":
                raise UsageError(
                    f"{source}: the {part}'s {name} is on {tensor.device}", "call .cpu() on it"
                )
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise UsageError(
                    f"{source}: the {part}'s {name} is {_dtype(tensor)}", "call .float() on it"
                )
            if not _strided(tensor):
                raise UsageError(
                    f"{source}: the {part}'s {name} is sparse", "call .to_dense() on it"
                )
            memory, place = _memory(tensor), f"the {part}'s {name}"
            beside = owners.setdefault(tensor.untyped_storage().data_ptr(), [])
            for other, owner in beside:
                if max(memory.start, other.start) < min(memory.stop, other.stop):
                    raise UsageError(
                        f"{source}: {place} and {owner} are the same tensor or share memory, so "
                        "training one would change the other",
                        "give each place a tensor of its own: .clone() of a buffer, copy.deepcopy "
                        "of a module",
                    )
            beside.append((memory, place))


def _memory(tensor: Tensor) -> range:
    """The addresses from a tensor's first element to its last."""
    if not tensor.numel():
        return range(0)
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    start = tensor.data_ptr()
    return range(start, start + (last + 1) * tensor.element_size())


def require_traceable(
    source: str, name: str, modules: Sequence[nn.Module], inputs: Sequence[Tensor]
) -> None:
    """Checks that modules in eval mode can be lowered as far as tracing goes.

    A build does it anyway, but after the training.

    Args:
        source: how errors call the user's function.
        name: how they call the modules.
        modules: one behind the other.
        inputs: features that reach each of them, ``[n, ...]``.

    Raises:
        UsageError: names the first that cannot.
    """
    for index, (module, features) in enumerate(zip(modules, inputs, strict=True)):
        _require_no_script(source, f"{name} {index}", module)
        try:
            torch.fx.symbolic_trace(module)
        except Exception as error:  # whatever their code does with a tensor that has no values
            if _exports(module, features[:1]):
                continue  # `torch.fx` gives up at sizes that are read, and at torch.compile
            raise UsageError(
                f"{source}: {name} {index} cannot be traced: {type(error).__name__}: {error}"
                f"{_frames(error)}",
                "remove control flow that depends on values of tensors, and register every module "
                "as an attribute, nn.Sequential or nn.ModuleList",
            ) from error


def _require_no_script(source: str, name: str, module: nn.Module) -> None:
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise UsageError(
                f"{source}: {name} holds TorchScript{f' ({path})' if path else ''}, which no "
                "backend lowers",
                "give the module as it was before torch.jit.script or torch.jit.trace",
            )


def _exports(module: nn.Module, features: Tensor) -> bool:
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            torch.export.export(module, (features,), strict=False)
    except Exception:
        return False
    return True


def _require_tensor(source: str, name: str, outputs: object, images: int) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise UsageError(
            f"{source}: {name} returns {type(outputs).__name__}",
            "let each block take one tensor and return one",
        )
    if outputs.dtype != torch.float32:
        raise UsageError(
            f"{source}: {name} returns {_dtype(outputs)}", "let it compute and return float32"
        )
    if not 2 <= outputs.dim() <= 4 or len(outputs) != images:
        raise UsageError(
            f"{source}: {name} returns {list(outputs.shape)} for {images} images",
            "return [n, channels, height, width], [n, channels, time], [n, tokens, width] or "
            "[n, width]",
        )
    if not outputs.isfinite().all():
        raise UsageError(
            f"{source}: {name} returns values that are not finite for a random image",
            "look at its weights, for a division by zero, and for torch.empty whose values are "
            "read before they are written: they are NaN here",
        )
    return outputs


def _frames(error: BaseException) -> str:
    """Where an error comes from, the innermost last: lines of the user's, one below the other."""
    return "".join(
        f"\n  {frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line}"
        for frame in user_frames(error)[-_FRAMES:]
    )


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
