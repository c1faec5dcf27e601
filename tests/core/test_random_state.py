from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.core.random_state import own_random_numbers
from pipeline.ingest.calling import seeded
from pipeline.model.family import build_model
from pipeline.settings import ResNetModel, ResNetSettings


def build() -> None:
    network = ResNetSettings(stem=2, widths=(2, 2), depths=(1, 1), strides=(1, 2))
    settings = ResNetModel(family="resnet", teacher=network, student=network)
    build_model(settings, (3, 8, 8), 2, 0)


def call_a_function() -> None:
    with seeded(3):
        torch.rand(1)


def draw() -> None:
    with own_random_numbers():
        torch.rand(1)


@pytest.mark.parametrize("made", [build, call_a_function, draw])
def test_the_callers_random_numbers_stay_where_they_are_on_a_gpu_too(
    made: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = [torch.tensor([7])]  # the state of its generator
    seeds: list[int] = []

    def seed(number: int) -> None:
        seeds.append(number)
        gpu[0] = torch.tensor([number])

    def set_state(state: Tensor, _: object) -> None:
        gpu[0] = state

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seed)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: gpu[0])
    monkeypatch.setattr(torch.cuda, "set_rng_state", set_state)
    before = torch.get_rng_state()
    made()
    assert gpu[0].tolist() == [7]
    assert torch.equal(torch.get_rng_state(), before)
    assert bool(seeds) == (made is not draw)


def test_a_seed_gives_the_same_numbers() -> None:
    drawn = []
    for _ in range(2):
        with own_random_numbers(5):
            drawn.append(torch.rand(3))
        torch.rand(1)
    assert torch.equal(*drawn)
