"""Training the teacher on the labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.model.blocknet import BlockNet
from pipeline.model.head import head_of
from pipeline.settings import TeacherSettings
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.early import EarlyImages
from pipeline.training.fit import Phase, fit
from pipeline.training.gradient_layout import matching_gradients
from pipeline.training.losses import label_loss

#: Further than any profile's seed: batches of the head come in an order of their own.
_HEAD_SEED = 1 << 33


def train_teacher(
    teacher: BlockNet, examples: Examples, settings: TeacherSettings, run: TrainingRun
) -> None:
    """Trains a teacher in place, with cross entropy: its head alone at first, if that is wanted.

    Args:
        teacher: the network.
        examples: what it learns from.
        settings: the ``[training.teacher]`` table.
        run: how.

    Raises:
        UsageError: the head is to be trained, and the teacher has none; or as for `fit`.
    """
    conditions = run.conditions
    teacher.to(conditions.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for_head, for_all = settings.phases()
    begun = for_all is not None and run.checkpoint.exists()  # then the head is in the checkpoint
    if for_head is not None and not conditions.processes.agree(begun, conditions.device):
        checkpoint = run.checkpoint.with_suffix(f".head{run.checkpoint.suffix}")
        head_run = replace(run, seed=run.seed + _HEAD_SEED, checkpoint=checkpoint)
        with _frozen_but(teacher, _head(teacher, examples)) as head:
            _train(teacher, head, ("train head", "head"), examples, for_head, head_run)
    if for_all is not None:
        _train(teacher, teacher, ("train teacher", "teacher"), examples, for_all, run)
    teacher.eval()


def _train(
    teacher: BlockNet,
    trained: nn.Module,
    names: tuple[str, str],
    examples: Examples,
    settings: TeacherSettings,
    run: TrainingRun,
) -> None:
    """Trains some of a teacher; the rest of it is in the mode that it is in."""
    conditions = run.conditions

    def step(indices: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        drawn = conditions.draw(examples, indices, generator)
        with conditions.arithmetic():
            logits = teacher(drawn.images).float()
        return {"loss": label_loss(logits, drawn.labels, settings.label_smoothing)}

    rates = [(list(trained.parameters()), 1.0)]
    early = EarlyImages(examples, conditions.device)
    phase = Phase(
        *(*names, trained, rates, len(examples), run.seed, run.checkpoint),
        watch=lambda: early.of_network(teacher),
    )
    with matching_gradients(teacher):
        fit(phase, settings, step, run.progress, conditions)


def _head(teacher: BlockNet, examples: Examples) -> Sequence[nn.Module]:
    device = next(teacher.parameters()).device
    found = head_of(teacher.eval(), examples.inputs[:2].to(device))
    if not found:
        raise UsageError(
            "training.teacher: head_epochs trains the last linear layer, and the teacher ends in "
            "none",
            "leave head_epochs out, or freeze what is to stay with requires_grad_(False)",
        )
    return [*found.values()]


@contextmanager
def _frozen_but(network: nn.Module, layers: Sequence[nn.Module]) -> Iterator[nn.Module]:
    """Some layers of a network as a module that learns; all else stays, in eval mode."""
    before = {each: each.requires_grad for each in network.parameters()}
    learning = nn.ModuleList(layers)
    network.requires_grad_(False)
    learning.requires_grad_(True)
    try:
        yield learning
    finally:
        for parameter, learns in before.items():
            parameter.requires_grad_(learns)
