from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.progress import Silent
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import prefix_routes
from pipeline.settings import JointDistillation, TeacherSettings
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.gradient_layout import matching_gradients
from pipeline.training.teacher import train_teacher

IMAGES = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def block(source: int, target: int) -> nn.Module:
    """Ends as MobileNets do, whose next layer averages over the pixels."""
    convolution = nn.Conv2d(source, target, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(target), nn.ReLU6(inplace=True))


def network(width: int) -> BlockNet:
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))
    made = BlockNet(nn.Identity(), [block(3, width), block(width, width)], head)
    return made.to(memory_format=torch.channels_last)


class Layouts:
    """Whether each gradient of what a module gives is channels last, once hooks have seen it."""

    def __init__(self, module: nn.Module) -> None:
        self.found: list[bool] = []
        module.register_forward_hook(self._watch)

    def _watch(self, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        if output.grad_fn is not None:
            output.grad_fn.register_prehook(self._see)

    def _see(self, gradients: tuple[Tensor, ...]) -> None:
        self.found += [g.is_contiguous(memory_format=torch.channels_last) for g in gradients[:1]]


def last_norm(network: BlockNet) -> nn.Module:
    *_, norm = (part for part in network.modules() if isinstance(part, nn.BatchNorm2d))
    return norm


def gradients(made: BlockNet) -> list[Tensor]:
    made.zero_grad()
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    made(images).square().sum().backward()
    return [p.grad.clone() for p in made.parameters() if p.grad is not None]


def test_gradients_are_the_same_and_channels_last_where_features_are() -> None:
    made = network(8)
    watched = Layouts(last_norm(made))
    before = gradients(made)
    with matching_gradients(made):
        within = gradients(made)
    after = gradients(made)
    assert watched.found == [False, True, False]
    for one, other, third in zip(before, within, after, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one, third)


def test_teacher_and_student_are_trained_with_them(tmp_path: Path) -> None:
    model = PwlModel.pair(network(8), network(4), (3, 4, 4))
    examples = Examples(IMAGES, torch.arange(4))
    run = TrainingRun(0, tmp_path / "partial", Silent())
    teacher, student = (Layouts(last_norm(each)) for each in (model.teacher, model.student))
    train_teacher(model.teacher, examples, TeacherSettings(epochs=2, batch_size=4), run)
    learned = JointDistillation(recipe="joint", epochs=2, batch_size=4)
    distill(model, examples, prefix_routes(2), learned, run)
    assert teacher.found == [True] * 2
    assert student.found == [True] * 2


@pytest.mark.parametrize("shape", [(4, 8), (4, 8, 6), (4, 8, 2, 2, 2)])
def test_features_of_any_rank_keep_their_layout(shape: tuple[int, ...]) -> None:
    norms = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 5: nn.BatchNorm3d}
    norm = norms[len(shape)](8)
    features = torch.randn(shape, requires_grad=True)
    norm(features).sum().backward()
    assert features.grad is not None
    before, features.grad = features.grad, None
    with matching_gradients(norm):
        norm(features).sum().backward()
    torch.testing.assert_close(features.grad, before)


@pytest.mark.parametrize("channels", [3, 8])
def test_strided_kernels_of_one_pixel_learn_from_the_right_gradients(channels: int) -> None:
    """oneDNN writes past its memory for them where channels are last and few (its issue 6035)."""
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 8, 1, 2, bias=False)
    images = torch.randn(2, channels, 8, 8).contiguous(memory_format=torch.channels_last)
    seen: list[bool] = []
    with matching_gradients(layer):
        watch = layer.register_forward_pre_hook(
            lambda _, given: seen.append(given[0].is_contiguous())
        )
        layer(images).square().sum().backward()
        watch.remove()
    assert seen == [True]
    product = torch.einsum("nohw,nihw->oi", 2 * layer(images), images[:, :, ::2, ::2])
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad[:, :, 0, 0], product)


def test_wide_or_dense_kernels_keep_their_layout() -> None:
    layers = [nn.Conv2d(16, 8, 1, 2), nn.Conv2d(3, 8, 3, 2), nn.Conv2d(3, 8, 1)]
    for layer in layers:
        with matching_gradients(layer):
            assert not layer._forward_pre_hooks
