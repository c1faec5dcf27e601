"""Several processes that train one model together, as `accelerate launch` starts them.

Each holds the whole model and takes its share of every batch. Losses are means over a batch, so the
mean of the gradients over equal shares is the gradient of the whole batch; see also `shared_norm`.
All draw the same random numbers. The first one alone writes files and talks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from torch import Tensor, distributed

from pipeline.core.children import end_with
from pipeline.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Processes:
    """Those that train together, as one of them sees them.

    Attributes:
        rank: which one this is, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The part of a batch that this process computes.

        Raises:
            UsageError: the batch cannot be divided evenly.
        """
        if batch % self.count:
            raise UsageError(
                f"batch_size {batch} cannot be divided among {self.count} processes",
                "give it, the size of the whole batch, as a multiple of the number of processes",
            )
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes, the same for all."""
        if self.count == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.count

    def average(self, gradients: Sequence[Tensor]) -> None:
        """Replaces tensors by their means over the processes, in one exchange."""
        if self.count == 1 or not gradients:
            return
        means = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(means, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))

    def broadcast(self, words: Sequence[str]) -> None:
        """Sends some words from the first process to all others, which have to `receive` them."""
        if self.count > 1:
            distributed.broadcast_object_list([list(words)], src=0)

    def receive(self) -> list[str]:
        """The words that the first process broadcasts next."""
        received: list[list[str]] = [[]]
        distributed.broadcast_object_list(received, src=0)
        return received[0]

    def agree(self, answer: bool, device: torch.device) -> bool:
        """The first process's answer, which all go by."""
        if self.count == 1:
            return answer
        shared = torch.tensor(int(answer), device=device)
        distributed.broadcast(shared, src=0)
        return bool(shared)


def describe_processes(processes: Processes) -> str | None:
    """What a person should know who started several processes, or believes to have done so."""
    if processes.count > 1:
        return f"training in {processes.count} processes"
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
        return (
            "accelerate started one process only, as it always does with --cpu; "
            "--multi_gpu starts several, without a GPU too"
        )
    return None


def device_for(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device that ``[training] device`` means for this process.

    Raises:
        UsageError: there is none of the kind, or not one for each process.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError(
            f"training.device = {name!r}: torch {torch.__version__} finds no GPU",
            'set device = "cpu", or install a build of torch for CUDA and the driver',
        )
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
        raise UsageError(
            f"training.device = {name!r} means the GPU, and accelerate was told --cpu",
            'set device = "cpu" in the profile, or leave --cpu out',
        )
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise UsageError(
            f"process {local} on this machine has no GPU: there are {torch.cuda.device_count()}",
            "start no more processes than there are GPUs",
        )
    # cuBLAS repeats its sums only with a fixed workspace; torch insists on it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda", local)


@contextmanager
def joined(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Processes]:
    """Joins the processes that were started together; one that was started alone stays alone.

    Args:
        device: ``[training] device``; decides how they talk to each other.

    Raises:
        UsageError: the package `accelerate` is not installed, or there is no such device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    try:
        from accelerate import PartialState
    except ImportError:
        raise UsageError(
            "several processes need the package `accelerate`, which is not installed",
            "pip install accelerate==1.15.0",
        ) from None
    end_with(os.getppid())  # of the launcher, which ends the others where one dies
    # The others wait while the first one evaluates; a process that dies ends all of them anyway.
    state = PartialState(cpu=device_for(device).type == "cpu", timeout=timedelta(hours=12))
    try:
        yield Processes(state.process_index, state.num_processes)
    finally:
        state.destroy_process_group()
