from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.model.blocknet import BlockNet
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, Route, UnitId, prefix_routes
from pipeline.settings import ResNetModel, ResNetSettings

IMAGE = (3, 16, 16)


def model(student: tuple[int, ...] = (4, 6, 8), strides: tuple[int, ...] = (1, 2, 2)) -> PwlModel:
    settings = ResNetModel(
        family="resnet",
        teacher=ResNetSettings(stem=8, widths=(8, 12, 16), depths=(2, 1, 2)),
        student=ResNetSettings(stem=4, widths=student, depths=(1, 1, 1), strides=strides),
    )
    return build_model(settings, IMAGE, classes=5, seed=1).eval()


@torch.no_grad()
def test_pure_routes_are_the_two_networks_themselves() -> None:
    both, images = model(), torch.randn(2, *IMAGE)
    assert torch.equal(both(images, Route.parse("TTT")), both.teacher(images))
    assert torch.equal(both(images, Route.parse("SSS")), both.student(images))


@torch.no_grad()
def test_a_mixed_route_runs_teacher_blocks_encoder_student_blocks() -> None:
    both, images = model(), torch.randn(2, *IMAGE)
    features = both.teacher.blocks[0](both.teacher.embedder(images))
    features = both.encoders[0](features)
    features = both.student.blocks[2](both.student.blocks[1](features))
    expected = both.student.classifier(features)
    assert torch.allclose(both(images, Route.parse("TSS")), expected)


@torch.no_grad()
def test_routes_of_any_order_run() -> None:
    both, images = model(), torch.randn(1, *IMAGE)
    for route in ("SST", "STS", "TST", "STT"):
        assert both(images, Route.parse(route)).shape == (1, 5)


def test_units_of_equal_width_need_no_converter() -> None:
    both = model(student=(8, 6, 16))
    assert UnitId(Role.ENCODER, 0) not in both.units(Route.parse("TSS"))
    assert UnitId(Role.ENCODER, 1) in both.units(Route.parse("TTS"))


def test_converters_are_linear_over_channels() -> None:
    encoder = model().encoders[1]
    assert isinstance(encoder, nn.Conv2d)
    assert (encoder.in_channels, encoder.out_channels, encoder.kernel_size) == (12, 6, (1, 1))


def test_other_spatial_sizes_are_refused_by_block() -> None:
    with pytest.raises(UsageError, match="block 0"):
        model(strides=(2, 2, 2))


def test_other_numbers_of_blocks_are_refused() -> None:
    one = BlockNet(nn.Identity(), [nn.Identity()], nn.Flatten())
    two = BlockNet(nn.Identity(), [nn.Identity()] * 2, nn.Flatten())
    with pytest.raises(UsageError, match="2 blocks and the student 1"):
        PwlModel.pair(two, one, IMAGE)


def test_a_route_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="2 blocks, the model 3"):
        model().units(Route.parse("TT"))


def test_the_ends_are_fused_into_the_outer_units() -> None:
    both = model()
    assert both.unit(UnitId(Role.STUDENT, 1)) is both.student.blocks[1]
    first, last = both.teacher.part(0), both.teacher.part(2)
    assert both.teacher.embedder in list(first.children())
    assert both.teacher.classifier in list(last.children())


def test_parts_follow_the_network_between_training_and_evaluation() -> None:
    both = model()
    assert not any(part.training for part in both.teacher.part(0).modules())
    both.train()
    assert all(part.training for part in both.teacher.part(0).modules())


def test_the_seed_decides_the_weights() -> None:
    first, second = model(), model()
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_building_leaves_torch_s_own_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model()
    assert torch.equal(torch.rand(3), expected)


def test_the_paper_s_teacher_has_its_size() -> None:
    settings = ResNetSettings(widths=(32, 64, 128, 256), depths=(3, 4, 6, 3))
    whole = ResNetModel(family="resnet", teacher=settings, student=settings)
    teacher = build_model(whole, (3, 32, 32), classes=10, seed=0).teacher
    size = 4 * sum(parameter.numel() for parameter in teacher.parameters())
    assert 21.0e6 < size < 21.6e6  # 21.4 MB in arXiv 2509.22319's reference implementation


def test_prefix_routes_never_need_a_decoder() -> None:
    both = model()
    roles = {unit.role for route in prefix_routes(3) for unit in both.units(route)}
    assert roles == {Role.STUDENT, Role.TEACHER, Role.ENCODER}
