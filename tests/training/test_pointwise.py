from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.training.pointwise import safe_pointwise


@pytest.fixture(autouse=True)
def avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def test_a_strided_1x1_convolution_of_few_channels_has_no_stride_and_computes_the_same() -> None:
    images = torch.randn(5, 4, 7, 8)
    convolution = nn.Conv2d(4, 6, 1, stride=2)
    expected = convolution(images)
    strides = []
    plain = F.conv2d
    with pytest.MonkeyPatch.context() as patch, safe_pointwise(nn.Sequential(convolution)):
        patch.setattr(
            F, "conv2d", lambda *a, **k: strides.append(k.get("stride", 1)) or plain(*a, **k)
        )
        found = convolution(images.contiguous(memory_format=torch.channels_last))
    assert strides == [1]
    assert torch.allclose(found, expected, atol=1e-6)


def test_afterwards_it_is_as_it_was() -> None:
    convolution = nn.Conv2d(4, 6, 1, stride=2)
    before = dict(vars(convolution))
    with pytest.raises(RuntimeError), safe_pointwise(convolution):
        assert vars(convolution) != before
        raise RuntimeError
    assert vars(convolution) == before


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(8, 6, 1, stride=2),
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, 1, stride=2, padding=1),
    ],
    ids=["wide", "unstrided", "3x3", "padded"],
)
def test_others_stay_as_they_are(convolution: nn.Conv2d) -> None:
    with safe_pointwise(convolution):
        assert "forward" not in vars(convolution)


def test_a_processor_with_avx512_needs_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    convolution = nn.Conv2d(4, 6, 1, stride=2)
    with safe_pointwise(convolution):
        assert "forward" not in vars(convolution)
