"""The training loop: seeded batches, SGD, a schedule, live losses, and a checkpoint every epoch.

A run that was interrupted goes on from its last epoch and ends with the same weights as one that
was not: batches depend on seed and epoch only, and the optimizer's state is part of the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.freed_memory import keeping_freed_memory, unfilled_memory
from pipeline.core.progress import Progress, Task
from pipeline.core.random_state import own_random_numbers
from pipeline.settings import OptimizerSettings
from pipeline.training.conditions import Conditions
from pipeline.training.epoch_checkpoint import resume, save_epoch
from pipeline.training.gpu import full_float32
from pipeline.training.pointwise import subsampled
from pipeline.training.processes import Processes
from pipeline.training.rate_schedule import rate_schedule
from pipeline.training.shared_norm import shared_norms
from pipeline.training.training_log import PhaseLog

#: Gives the weighted terms of the loss for a batch, by name; their sum is minimized.
TrainingStep = Callable[[Tensor, torch.Generator], Mapping[str, Tensor]]
#: Gives shares of right answers, by name, of `Phase.module` in eval mode.
EarlyMetrics = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Phase:
    """One training run.

    Attributes:
        title: what a person calls it.
        name: what the training log calls it.
        module: all that is trained and its buffers; its state is what a checkpoint holds.
        rates: groups of parameters with their scale of the learning rate.
        images: number of training images.
        seed: decides the order of the batches.
        checkpoint: where to save after every epoch, and to go on from.
        watch: early metrics: asked after every epoch, and thrice within the first one. It must
            change nothing and draw no random numbers.
    """

    title: str
    name: str
    module: nn.Module
    rates: Sequence[tuple[Sequence[nn.Parameter], float]]
    images: int
    seed: int
    checkpoint: Path
    watch: EarlyMetrics = dict


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Runs torch with a fixed number of threads and deterministic algorithms only.

    Its random numbers, which `fit` seeds, are then where they were. Memory of activations is kept
    from step to step, see `keeping_freed_memory`, and new memory is not filled. On a GPU, float32
    is float32, see `full_float32`.
    """
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        with (
            own_random_numbers(),
            keeping_freed_memory(),
            unfilled_memory(),
            full_float32(),
        ):
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)


def batches_of(settings: OptimizerSettings, images: int) -> int:
    """The number of batches, and so of steps, in an epoch; see `OptimizerSettings.drop_last`."""
    whole, left = divmod(images, settings.batch_size)
    return whole if settings.drop_last or not left else whole + 1


def require_batch(settings: OptimizerSettings, images: int, processes: Processes) -> None:
    """Checks that training can make its batches.

    Raises:
        UsageError: the images do not fill one, or one cannot be divided among the processes.
    """
    size = settings.batch_size
    processes.share(size)
    if not batches_of(settings, images):
        raise UsageError(
            f"{images} training images do not fill a batch of {size}",
            "lower batch_size in the profile, or set drop_last = false",
        )
    last = images % size
    if not settings.drop_last and last % processes.count:
        raise UsageError(
            f"the last batch of an epoch has {last} images ({images} in batches of {size}), which "
            f"cannot be divided among {processes.count} processes",
            "set drop_last = true in the profile, or another batch_size, or train in one process",
        )


def fit(
    phase: Phase,
    settings: OptimizerSettings,
    step: TrainingStep,
    progress: Progress,
    conditions: Conditions | None = None,
) -> None:
    """Trains `phase.module` in place.

    Args:
        phase: what is trained.
        settings: epochs, batch size, optimizer, schedule.
        step: the loss terms for a batch of image indices ``[batch]``.
        progress: told the mean of every loss term, and what `phase.watch` sees.
        conditions: of the run; its training_log holds the same, and the learning rate.

    Raises:
        UsageError: the loss is not finite any more, the data does not fill one batch, or a batch
            cannot be divided among the processes, or is too small for the network.
        IntegrityError: the checkpoint to go on from is damaged.
    """
    conditions = conditions or Conditions()
    require_batch(settings, phase.images, conditions.processes)
    run = _Run(phase, settings, step, conditions)
    first = run.resumed()
    with (
        progress.task(phase.title, total=settings.epochs * run.batches) as task,
        conditions.training_log.phase(phase.name, first * run.batches) as log,
        shared_norms(phase.module, conditions.processes),
        nullcontext() if conditions.device.type == "cuda" else subsampled(phase.module),
    ):
        if first:
            task.advance(first * run.batches, f"going on after epoch {first}")
        for epoch in range(first, settings.epochs):
            run.epoch(epoch, task, log)
    run.finish()


class _Run:
    """One call of `fit`: the optimizer, its schedule, and the steps of an epoch."""

    def __init__(
        self, phase: Phase, settings: OptimizerSettings, step: TrainingStep, conditions: Conditions
    ) -> None:
        self.batches = batches_of(settings, phase.images)
        self._phase, self._settings, self._step = phase, settings, step
        self._conditions = conditions
        self._optimizer = torch.optim.SGD(
            [
                {"params": list(parameters), "lr": settings.learning_rate * scale}
                for parameters, scale in phase.rates
            ],
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
        self._trained = [parameter for parameters, _ in phase.rates for parameter in parameters]
        scales = [scale for _, scale in phase.rates]
        self._scheduler = rate_schedule(self._optimizer, settings, scales, self.batches)
        #: Batches of the first epoch after which accuracy is looked at, too.
        self._early = {self.batches * quarter // 4 for quarter in (1, 2, 3)} - {0, self.batches}

    def resumed(self) -> int:
        """How many epochs an interrupted run has done, whose state is restored."""
        there = self._phase.checkpoint.exists()
        if not self._conditions.processes.agree(there, self._conditions.device):
            return 0
        phase = self._phase
        return resume(phase.checkpoint, phase.module, self._optimizer, self._scheduler)

    def epoch(self, epoch: int, task: Task, log: PhaseLog) -> None:
        """Trains on every image once, and saves where to go on from."""
        phase, settings = self._phase, self._settings
        # One generator an epoch: the state to save is the number of the epoch alone.
        generator = torch.Generator().manual_seed(phase.seed * 1_000_003 + epoch)
        torch.manual_seed(generator.initial_seed())  # what dropout draws from
        order = torch.randperm(phase.images, generator=generator)
        phase.module.train()
        losses = _Means()
        first = self._conditions.processes.first
        for batch in range(self.batches):
            indices = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
            values, rate = self._update(epoch, indices, generator)
            losses.add(values)
            task.advance(1)
            whole = batch + 1 == self.batches
            if first and (whole or (epoch == 0 and batch + 1 in self._early)):
                accuracy, means = _watched(phase), losses.now()
                when = f"epoch {epoch + 1}/{settings.epochs}" if whole else "in epoch 1"
                task.advance(0, f"{when}  {_shown(accuracy, means)}")
                numbers = {f"loss/{name}": value for name, value in means.items()}
                numbers |= {"learning rate": rate, **accuracy}
                log.write(numbers, epoch * self.batches + batch + 1)
        if first and epoch + 1 < settings.epochs:
            save_epoch(phase.checkpoint, phase.module, self._optimizer, self._scheduler, epoch + 1)

    def _update(
        self, epoch: int, indices: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, float], float]:
        """One step of the optimizer: the loss terms before it, and its learning rate."""
        processes = self._conditions.processes
        terms = _terms(self._phase, self._step, indices, generator)
        loss = torch.stack(list(terms.values())).sum()
        values = processes.mean(torch.stack([term.detach() for term in terms.values()]))
        if not math.isfinite(total := values.sum().item()):
            raise UsageError(
                f"{self._phase.title}: the loss is {total} in epoch {epoch + 1}",
                "lower learning_rate in the profile, or set gradient_norm",
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        processes.average([p.grad for p in self._trained if p.grad is not None])
        if self._settings.gradient_norm:
            nn.utils.clip_grad_norm_(self._trained, self._settings.gradient_norm)
        self._optimizer.step()
        rate = float(self._optimizer.param_groups[0]["lr"])
        self._scheduler.step()
        return dict(zip(terms, values.tolist(), strict=True)), rate

    def finish(self) -> None:
        """Leaves the module in eval mode; there is nothing to go on from any more."""
        self._optimizer.zero_grad(set_to_none=True)
        self._phase.module.eval()
        if self._conditions.processes.first:
            self._phase.checkpoint.unlink(missing_ok=True)


def _terms(
    phase: Phase, step: TrainingStep, indices: Tensor, generator: torch.Generator
) -> Mapping[str, Tensor]:
    """The loss terms of a batch; a batch of one image may be one too few to normalize."""
    try:
        return step(indices, generator)
    except ValueError as error:
        if len(indices) > 1 or "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            f"{phase.title}: the last batch of an epoch is a single image, which batch "
            "normalization cannot take statistics of",
            "set drop_last = true in the profile, or another batch_size",
        ) from None


class _Means:
    """The means of the loss terms of an epoch, as far as it is."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._batches = 0

    def add(self, terms: Mapping[str, float]) -> None:
        self._batches += 1
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def now(self) -> dict[str, float]:
        return {name: value / self._batches for name, value in self._sums.items()}


def _watched(phase: Phase) -> Mapping[str, float]:
    phase.module.eval()
    found = phase.watch()
    phase.module.train()
    return found


def _shown(accuracy: Mapping[str, float], losses: Mapping[str, float]) -> str:
    """Both in few columns: five loss terms and six routes have to fit beside a bar."""
    terms = " ".join(f"{name} {value:.3g}" for name, value in losses.items())
    cosine = any(name.startswith("cosine") for name in accuracy)
    shown = " ".join(f"{v:.3f}" if cosine else f"{100 * v:.0f}" for v in accuracy.values())
    return f"{shown} {'cosine' if cosine else '% right'}  {terms}" if accuracy else terms
