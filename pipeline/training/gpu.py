"""A GPU as training uses it: the same bits every time, and its failures in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.core.errors import DeviceError, PipelineError, UsageError, first_lines

_ON_PROCESSOR = 'set device = "cpu" in [training]'
#: The first of NVIDIA's GPUs that multiply bfloat16 numbers, Ampere.
_BF16_SINCE = (8, 0)


@contextmanager
def full_float32() -> Iterator[None]:
    """Has GPUs compute float32 in float32, and choose their algorithms without trying them.

    By default torch lets convolutions round what they multiply to TF32, 10 bits of mantissa
    (https://docs.pytorch.org/docs/stable/notes/cuda.html). Algorithms that are chosen by how long
    they take would be others in another run, and with them the bits. A user's module may have set
    either; afterwards both are as they were.
    """
    cudnn: Any = torch.backends.cudnn
    kinds: list[Any] = [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul]
    precisions, tried = [kind.fp32_precision for kind in kinds], cudnn.benchmark
    rounds = [(holder, _allows_tf32(holder)) for holder in (cudnn, torch.backends.cuda.matmul)]
    # These setters and not those of `kinds`: after "ieee", torch's own cudnn.flags would raise.
    cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = cudnn.benchmark = False
    try:
        yield
    finally:
        cudnn.benchmark = tried
        # First these: torch keeps them apart, and its own cudnn.flags, which torch.export calls,
        # raises where one says that TF32 is used and the other that it is not.
        for holder, allowed in rounds:
            if allowed is not None:
                holder.allow_tf32 = allowed
        for kind, precision in zip(kinds, precisions, strict=True):
            kind.fp32_precision = precision


def _allows_tf32(holder: Any) -> bool | None:
    """What the older of torch's two settings says; None where a module's code has them differ."""
    try:
        return bool(holder.allow_tf32)
    except RuntimeError:
        return None


def require_usable(device: torch.device) -> None:
    """Checks that torch can compute on a device.

    Raises:
        UsageError: it cannot, as on a GPU that is older than this build of torch supports.
    """
    if device.type != "cuda":
        return
    try:
        torch.ones(2, device=device).add(1).tolist()
    except RuntimeError as error:
        raise UsageError(
            f"torch {torch.__version__} finds a GPU and cannot compute on it: {first_lines(error)}",
            f"{_ON_PROCESSOR}, or install a build of torch and a driver for this GPU",
        ) from error


def gpu_name(device: torch.device) -> str:
    """Such as ``NVIDIA H100 80GB HBM3``."""
    return torch.cuda.get_device_name(device)


def free_on_gpu(device: torch.device) -> int:
    """Bytes of memory that a GPU has left; none of any other device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a GPU has arithmetic for bfloat16 numbers; torch does without, slowly."""
    return torch.cuda.get_device_capability(device) >= _BF16_SINCE


@contextmanager
def gpu_errors(device: torch.device) -> Iterator[None]:
    """Around training: what a GPU cannot do becomes an error that says so.

    Raises:
        DeviceError: its memory is full, or it failed.
        UsageError: a network does what cannot be done there.
    """
    try:
        yield
    except PipelineError:
        raise
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{gpu_name(device)} has too little memory for this training: {first_lines(error)}",
            'lower batch_size, set precision = "bf16" or teacher_features = "disk" in [training], '
            f"see with nvidia-smi what else uses its memory, or {_ON_PROCESSOR}",
        ) from error
    except RuntimeError as error:
        if found := _in_words(error):
            raise found from error
        raise


def _in_words(error: RuntimeError) -> PipelineError | None:
    message = str(error)
    if unrepeatable := re.match(r"(\S+) does not have a deterministic implementation", message):
        return UsageError(
            f"a network uses {unrepeatable[1]}, which gives other bits every time it is computed "
            "on a GPU, and training has to be repeatable",
            "use another layer in its place (a pool with a kernel_size for an adaptive one, "
            f"bilinear or nearest for bicubic interpolation), or {_ON_PROCESSOR}",
        )
    if "Expected all tensors to be on the same device" in message or (
        "is not on the expected device" in message
    ):
        return UsageError(
            f"a network makes or keeps a tensor on another device: {first_lines(error)}",
            "make it with device=x.device, or keep it with register_buffer; or " + _ON_PROCESSOR,
        )
    if isinstance(error, torch.AcceleratorError) or re.match(
        r"(CUDA|cuDNN|CUBLAS) ?error", message
    ):
        return DeviceError(
            f"the GPU failed: {first_lines(error)}",
            "run again, which goes on from the last epoch; if it fails there again, "
            f"{_ON_PROCESSOR}",
        )
    return None
