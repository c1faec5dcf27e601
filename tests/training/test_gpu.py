"""What can be said of training on a GPU where there is none; test_cuda.py trains on one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.core.errors import DeviceError, PipelineError, UsageError
from pipeline.core.progress import Silent
from pipeline.data.normalization import LazyInputs, Normalization
from pipeline.data.tensors import Standardization
from pipeline.data.transfer import tensor_of
from pipeline.settings import FeatureStorage
from pipeline.training import device_inputs, gpu, kept_features
from pipeline.training.device_inputs import DeviceInputs
from pipeline.training.gpu import full_float32, gpu_errors, require_usable
from pipeline.training.kept_features import FeatureKeeping

CPU, META = torch.device("cpu"), torch.device("meta")


@contextmanager
def kept_flags() -> Iterator[list[Any]]:
    """What decides how a GPU computes float32; afterwards it is as before."""
    cudnn: Any = torch.backends.cudnn
    kinds: list[Any] = [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul]
    before = [kind.fp32_precision for kind in kinds]
    try:
        yield kinds
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


@pytest.mark.parametrize(
    "precisions", [("tf32", "tf32", "none"), ("ieee", "tf32", "tf32"), ("none", "none", "tf32")]
)
def test_float32_is_not_rounded_to_tf32_and_a_callers_choice_comes_back(
    precisions: tuple[str, ...],
) -> None:
    with kept_flags() as kinds:
        for kind, precision in zip(kinds, precisions, strict=True):
            kind.fp32_precision = precision
        with full_float32():
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as libraries may
                assert not torch.backends.cudnn.allow_tf32
        assert tuple(kind.fp32_precision for kind in kinds) == precisions


@pytest.mark.parametrize("allowed", [True, False])
def test_what_exports_after_training_can_ask_torch_as_before(allowed: bool) -> None:
    with kept_flags():
        torch.backends.cudnn.allow_tf32 = allowed  # both of torch's settings say the same
        with full_float32():
            pass
        with torch.backends.cudnn.flags(enabled=False):  # as torch.export does; raises else
            pass
        assert torch.backends.cudnn.allow_tf32 == allowed
        torch.backends.cudnn.allow_tf32 = True


def test_algorithms_are_not_chosen_by_a_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with full_float32():
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark


def in_words(error: Exception, monkeypatch: pytest.MonkeyPatch) -> PipelineError:
    monkeypatch.setattr(gpu, "gpu_name", lambda _: "NVIDIA T4")
    with pytest.raises(PipelineError) as caught, gpu_errors(CPU):
        raise error
    return caught.value


def test_a_full_memory_names_what_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    found = in_words(error, monkeypatch)
    assert isinstance(found, DeviceError)
    assert "NVIDIA T4 has too little memory" in found.what
    assert "Tried to allocate 2.00 GiB" in found.what
    assert "batch_size" in found.remedy


def test_what_never_repeats_its_bits_is_named() -> None:
    strict = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(UsageError, match="uses put_, which gives other bits"), gpu_errors(CPU):
            torch.zeros(3).put_(torch.tensor([1]), torch.tensor([1.0]))
    finally:
        torch.use_deterministic_algorithms(strict)


def test_a_tensor_on_another_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Expected all tensors to be on the same device, but found at least two devices"
    found = in_words(RuntimeError(words), monkeypatch)
    assert isinstance(found, UsageError)
    assert "device=x.device" in found.remedy


def test_what_torch_says_of_tensors_on_two_devices_is_known() -> None:
    with pytest.raises(UsageError, match="makes or keeps a tensor on another"), gpu_errors(CPU):
        torch.zeros(2) + torch.zeros(2, device=META)


def test_a_failing_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")
    found = in_words(error, monkeypatch)
    assert isinstance(found, DeviceError)
    assert "illegal memory access" in found.what
    assert "last epoch" in found.remedy


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"), gpu_errors(CPU):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_a_gpu_that_torch_cannot_compute_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old(*_: object, **__: object) -> Tensor:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "ones", too_old)
    require_usable(CPU)
    with pytest.raises(UsageError, match="cannot compute on it: CUDA error: no kernel") as caught:
        require_usable(torch.device("cuda", 0))
    assert 'device = "cpu"' in caught.value.remedy


def lazy_inputs() -> dict[str, LazyInputs]:
    drawn = np.random.default_rng(0)
    pixels = drawn.integers(0, 256, (9, 4, 5, 3), dtype=np.uint8)
    values = drawn.standard_normal((9, 3, 4)).astype(np.float32)
    values.flags.writeable = False  # as those of a file that is mapped
    return {
        "images": Normalization((0.1, 0.2, 0.3), (0.7, 0.8, 0.9)).inputs(pixels),
        "values": Standardization((0.1, 0.2, 0.3), (0.7, 1.1, 3.0)).inputs(values),
        "plain values": Standardization().inputs(values),
    }


@pytest.mark.parametrize("kind", lazy_inputs())
@pytest.mark.parametrize("free", [0, 1 << 40])
def test_inputs_of_a_device_are_the_same_whether_they_lie_there_or_come_batch_by_batch(
    free: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_inputs, "free_on_gpu", lambda _: free)
    monkeypatch.setattr(device_inputs, "_CHUNK", 4)
    inputs = lazy_inputs()[kind]
    there = DeviceInputs(inputs, CPU)
    assert len(there) == 9
    for which in (slice(2, 7), torch.tensor([8, 0, 3])):
        assert torch.equal(there[which], inputs[which])
        assert there[which].stride() == inputs[which].stride()


def test_a_pixel_is_normalized_in_float32_step_by_step() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    steps = (pixels.astype(np.float32) / np.float32(255) - np.float32(0.45)) / np.float32(0.27)
    found = Normalization((0.45,), (0.27,)).apply(pixels)
    assert np.array_equal(found.flatten().numpy(), steps.flatten())


@pytest.mark.parametrize(
    ("storage", "gpu_bytes", "bytes_left", "place"),
    [
        ("auto", 10**6, 0, META),
        ("auto", 1, 10**6, CPU),
        ("memory", 1, 0, CPU),
        ("memory", 10**6, 0, META),
        ("auto", 1, 1, None),
        ("disk", 10**6, 10**6, None),
    ],
)
def test_features_stay_on_a_gpu_if_they_fit_else_in_memory_else_on_disk(
    storage: FeatureStorage,
    gpu_bytes: int,
    bytes_left: int,
    place: torch.device | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_features, "free_on_gpu", lambda _: gpu_bytes)
    monkeypatch.setattr(kept_features, "available_memory", lambda: bytes_left)
    keeping = FeatureKeeping(storage, tmp_path / "files", Silent())
    kept = keeping.place_for(10, [torch.zeros(2, 3, device=META)])
    assert (tmp_path / "files").exists() == (place is None)
    if place is not None:
        assert [each.device for each in kept.features()] == [place]


@pytest.mark.parametrize("rule", [Standardization(), Standardization((0.1,) * 3, (0.7,) * 3)])
def test_a_tensor_shares_no_memory_that_nobody_may_write_to(rule: Standardization) -> None:
    values = lazy_inputs()["values"].values
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.shares_memory(rule.apply(values).numpy(), values)


def test_a_tensor_is_of_an_array_s_memory_unless_nobody_may_write_to_that() -> None:
    values = np.zeros((2, 3), np.uint8)
    assert np.shares_memory(tensor_of(values).numpy(), values)
    values.flags.writeable = False
    assert not np.shares_memory(tensor_of(values).numpy(), values)
