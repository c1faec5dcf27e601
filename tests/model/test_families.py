from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, Route, UnitId, prefix_routes
from pipeline.model.vit import PatchEmbedding
from pipeline.settings import VggModel, VggSettings, VitModel, VitSettings

VGG_IMAGE, VIT_IMAGE = (1, 8, 8), (3, 8, 12)


def vgg_model(image: tuple[int, ...] = VGG_IMAGE) -> PwlModel:
    settings = VggModel(
        family="vgg",
        teacher=VggSettings(widths=(8, 12, 16), depths=(2, 1, 2)),
        student=VggSettings(widths=(4, 12, 8), depths=(1, 1, 1)),
    )
    return build_model(settings, image, classes=5, seed=1).eval()


def vit_model(image: tuple[int, ...] = VIT_IMAGE) -> PwlModel:
    settings = VitModel(
        family="vit",
        teacher=VitSettings(patch=4, width=24, heads=3, depths=(2, 1)),
        student=VitSettings(patch=4, width=16, heads=2, mlp_width=20, depths=(1, 1)),
    )
    return build_model(settings, image, classes=5, seed=1).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ("model", "image"), [(vgg_model(), VGG_IMAGE), (vit_model(), VIT_IMAGE)], ids=["vgg", "vit"]
)
def test_pure_routes_are_the_networks_and_every_prefix_route_runs(
    model: PwlModel, image: tuple[int, ...]
) -> None:
    images = torch.randn(2, *image)
    routes = prefix_routes(model.blocks)
    logits = [model(images, route) for route in routes]
    assert torch.equal(logits[0], model.student(images))
    assert torch.equal(logits[-1], model.teacher(images))
    assert {tuple(output.shape) for output in logits} == {(2, 5)}


def test_a_vgg_block_halves_the_image_and_has_no_embedder() -> None:
    model = vgg_model()
    assert model.teacher.boundaries(VGG_IMAGE) == [(8, 4, 4), (12, 2, 2), (16, 1, 1)]
    assert model.unit(UnitId(Role.TEACHER, 0)) is model.teacher.blocks[0]


def test_a_vgg_model_converts_channels_only_where_they_differ() -> None:
    model = vgg_model()
    encoder = model.unit(UnitId(Role.ENCODER, 0))
    assert isinstance(encoder, nn.Conv2d)
    assert (encoder.in_channels, encoder.out_channels, encoder.kernel_size) == (8, 4, (1, 1))
    assert UnitId(Role.ENCODER, 1) not in model.units(Route.parse("TTS"))


def test_images_that_poolings_would_swallow_are_refused_with_the_sizes() -> None:
    with pytest.raises(UsageError, match=r"4x8 pixels are too small for 3 poolings.* 8x8 is"):
        vgg_model((1, 4, 8))


def test_the_paper_s_vgg_has_its_size() -> None:
    settings = VggSettings(widths=(64, 128, 256, 512, 512), depths=(2, 2, 3, 3, 3))
    whole = VggModel(family="vgg", teacher=settings, student=settings)
    teacher = build_model(whole, (3, 32, 32), classes=10, seed=0).teacher
    size = 4 * sum(parameter.numel() for parameter in teacher.parameters())
    assert 58.8e6 < size < 59.2e6  # 59.0 MB in arXiv 2509.22319's reference implementation


def test_vit_features_are_one_token_a_patch_and_the_class_token() -> None:
    model = vit_model()
    assert model.teacher.boundaries(VIT_IMAGE) == [(7, 24), (7, 24)]
    assert model.student.boundaries(VIT_IMAGE) == [(7, 16), (7, 16)]


def test_a_vit_model_converts_the_width_of_every_token() -> None:
    encoder, decoder = vit_model().encoders[0], vit_model().decoders[0]
    assert isinstance(encoder, nn.Linear)
    assert isinstance(decoder, nn.Linear)
    assert (encoder.in_features, encoder.out_features) == (24, 16)
    assert (decoder.in_features, decoder.out_features) == (16, 24)


@torch.no_grad()
def test_a_patch_is_seen_by_its_own_token_alone_before_the_first_block() -> None:
    embedding = PatchEmbedding(channels=1, width=6, patch=2, patches=4)
    image = torch.zeros(1, 1, 4, 4)
    blank = embedding(image)
    image[..., 3, 0] = 1  # in the patch below the first one
    changed = (embedding(image) != blank).any(dim=2)
    assert changed.tolist() == [[False, False, False, True, False]]


@torch.no_grad()
def test_attention_lets_every_patch_reach_the_classifier() -> None:
    model, images = vit_model(), torch.randn(1, *VIT_IMAGE)
    elsewhere = images.clone()
    elsewhere[..., -4:, -4:] += 1
    assert not torch.allclose(model.teacher(images), model.teacher(elsewhere))


def test_images_that_patches_do_not_tile_are_refused_with_the_sizes() -> None:
    with pytest.raises(UsageError, match="10x12 pixels cannot be cut into patches of 4x4"):
        vit_model((3, 10, 12))


def test_what_is_no_image_is_refused_by_the_name_of_the_family() -> None:
    with pytest.raises(UsageError, match=r"family 'vgg' takes images, .* is \[2, 16000\]"):
        vgg_model((2, 16000))


def test_the_paper_s_vit_has_its_size() -> None:
    settings = VitSettings(patch=16, width=192, heads=3, depths=(2,) * 6)
    student = settings.model_copy(update={"depths": (1,) * 6})
    whole = VitModel(family="vit", teacher=settings, student=student)
    model = build_model(whole, (3, 224, 224), classes=10, seed=0)
    sizes = [
        4 * sum(parameter.numel() for parameter in network.parameters())
        for network in (model.teacher, model.student)
    ]
    # 22.1 and 11.4 MB in arXiv 2509.22319's reference implementation
    assert sizes == [pytest.approx(22.1e6, rel=0.01), pytest.approx(11.4e6, rel=0.01)]
