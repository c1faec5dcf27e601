"""Logits of a trained model for images of one's own, as NumPy files.

They are what a lowered program is compared with: the same images in, eager PyTorch's answer out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.atomic_files import replacing
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.outputs import require_file
from pipeline.core.progress import Progress
from pipeline.data.batches import batches_of_inputs
from pipeline.data.images import ImageSpec
from pipeline.data.transfer import tensor_of
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route

#: What NumPy raises for headers that are no literals, or absurd ones.
_BAD_HEADER = (ValueError, OSError, EOFError, OverflowError, SyntaxError, TokenError, MemoryError)


@dataclass(frozen=True, slots=True)
class ReadInputs:
    """Images as a model takes them.

    Attributes:
        tensor: float32 ``[n, channels, height, width]``, normalized.
        origin: what the file held and what was done to it, for a person.
    """

    tensor: Tensor
    origin: str


def write_logits(
    model: PwlModel,
    spec: ImageSpec,
    images: Path,
    routes: Sequence[Route],
    out: Path,
    progress: Progress,
) -> str:
    """Writes the logits of the images in a file: one array float32 ``[n, classes, ...]`` a route.

    Args:
        model: in eval mode.
        spec: the images that it takes.
        images: .npy file, see `read_inputs`.
        routes: what to run; the arrays are named ``SSSS``, ``TSSS``, ...
        out: .npz file; it appears whole or not at all.
        progress: told every route.

    Returns:
        What was read and how it was taken, for a person.

    Raises:
        UsageError: a file, its content or a route does not fit the model.
    """
    require_logits_file(out, images)
    inputs = read_inputs(images, spec)
    # Any: savez has keywords of its own, but none of them is a word of S and T.
    found: dict[str, Any] = dict(route_logits(model, inputs.tensor, routes, progress))
    try:
        with replacing(out) as temporary, temporary.open("wb") as file:
            np.savez(file, **found)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}", "name another") from None
    return inputs.origin


def require_logits_file(out: Path, images: Path) -> None:
    """Makes sure that `write_logits` can write its file.

    Raises:
        UsageError: its name is no .npz file's, or it cannot be written.
    """
    if out.suffix != ".npz":
        raise UsageError(f"{out}: logits are written as an .npz file", "let its name end in .npz")
    require_file(out, "--logits", reads=(images,))


def route_logits(
    model: PwlModel, inputs: Tensor, routes: Sequence[Route], progress: Progress
) -> dict[str, npt.NDArray[np.float32]]:
    """Logits ``[n, classes, ...]`` of normalized images ``[n, channels, height, width]`` by route.

    Raises:
        UsageError: a route has another number of blocks than the model.
        IntegrityError: logits hold NaN or infinity.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    with progress.task("logits", total=len(routes)) as task, torch.no_grad():
        for route in routes:
            parts = batches_of_inputs(len(inputs), inputs.shape[1:])
            logits = torch.cat([model(inputs[part], route) for part in parts])
            if lost := int((~logits.isfinite()).flatten(1).any(dim=1).sum()):
                raise IntegrityError(
                    f"route {route} gives NaN or infinity for {lost} of {len(logits)} images",
                    "look for NaN in the weights, or for values that overflow float32",
                )
            found[str(route)] = logits.numpy()
            task.advance(1, str(route))
    return found


def read_inputs(path: Path, spec: ImageSpec) -> ReadInputs:
    """The images of a .npy file, of either kind that a model's user has at hand.

    float32 ``[n, channels, height, width]`` is taken as normalized already; uint8
    ``[n, height, width, channels]`` is normalized as the model's training images were.

    Raises:
        UsageError: the file is missing, no .npy file, pickled, empty, not finite, or of another
            shape or dtype.
    """
    array = open_array(path)
    kind = spec.kind_of(array)
    if kind is None:
        raise UsageError(f"{path}: holds {array.dtype} {list(array.shape)}", str(spec))
    if kind == "plain" and spec.normalization is not None:
        tensor = spec.normalization.apply(array)
        done = "uint8 images, normalized with the model's mean and deviation"
    elif kind == "tokens":
        tensor = torch.from_numpy(array.astype(np.float32))
        done = "inputs of tokens"
    else:
        tensor = tensor_of(array)
        done = "float32 images, taken as normalized already"
    if not tensor.isfinite().all():
        raise UsageError(f"{path}: some values are not finite", "look for NaN where it was made")
    return ReadInputs(tensor, f"{path}: {len(array)} {done}")


def open_array(path: Path) -> npt.NDArray[Any]:
    """The array in a file, mapped: a header that promises more than is there costs no memory.

    Raises:
        UsageError: the file is missing, no .npy file, pickled or empty.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "name a .npy file that numpy.save wrote")
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except _BAD_HEADER as error:
        raise UsageError(
            f"{path}: not a .npy file of numbers: {error}",
            "write it with numpy.save(path, array, allow_pickle=False)",
        ) from None
    if not array.size:
        raise UsageError(f"{path}: holds no image", "give at least one")
    return array
