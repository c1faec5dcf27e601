from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Silent
from pipeline.ingest.reference.reference_model import read_reference
from pipeline.model.route import Route
from tests.ingest.reference_twin import Twin, resnet_config, twin, vgg_config, vit_config, write

#: By family: the configuration, what makes a deeper teacher of it, and what makes it a wider one.
FAMILIES: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]] = {
    "resnet": (
        resnet_config,
        {"depths": [3, 2, 1, 2]},
        {"embedding_size": 9, "hidden_sizes": [8, 6, 16, 12]},
    ),
    "vgg": (vgg_config, {"depths": [2, 1, 3, 1, 2]}, {"hidden_sizes": [8, 6, 12, 10, 12]}),
    "vit": (
        vit_config,
        {"layers_per_block": 2},
        {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 4},
    ),
}
SIZES = {"resnet": (20, 28), "vgg": (32, 40), "vit": (16, 16)}


def pair(family: str, *, narrow: bool, **changes: Any) -> Twin:
    """A twin whose teacher is deeper, and wider too where the student is narrow."""
    config, deeper, wider = FAMILIES[family]
    return twin(config(**deeper, **(wider if narrow else {}), **changes), config(**changes))


def images(family: str, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, *SIZES[family], generator=torch.Generator().manual_seed(1))


def farthest(made: Twin, folder: Path, inputs: torch.Tensor) -> float:
    """The largest difference over the largest logit, on any route."""
    model = read_reference(str(folder), Silent()).model
    worst = 0.0
    for route in made.routes:
        expected = made.logits(inputs, route)
        with torch.no_grad():
            found = model(inputs, Route.parse(route))
        worst = max(worst, float((found - expected).abs().max() / expected.abs().max()))
    return worst


@pytest.mark.parametrize("transformers", [4, 5])
@pytest.mark.parametrize("narrow", [False, True], ids=["equal", "narrow"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_of_every_route_are_the_reference_s(
    family: str, narrow: bool, transformers: int, tmp_path: Path
) -> None:
    made = pair(family, narrow=narrow)
    assert len(made.routes) == 2 ** {"resnet": 4, "vgg": 5, "vit": 6}[family]
    folder = made.save(tmp_path / "checkpoint-7", transformers)
    assert farthest(made, folder, images(family)) < 1e-5


RESNET_STEMS = [
    {"embedder_kernel_size": 7, "embedder_kernel_stride": 2, "embedder_use_pooler": True},
    {"embedder_kernel_stride": 2, "downsample_in_first_stage": True},
    {"embedder_kernel_size": 1, "embedder_use_pooler": True, "downsample_in_first_stage": True},
]


@pytest.mark.parametrize("stem", RESNET_STEMS)
def test_a_resnet_s_stem_and_strides_are_those_of_its_configuration(
    stem: dict[str, Any], tmp_path: Path
) -> None:
    made = pair("resnet", narrow=True, **stem)
    assert farthest(made, made.save(tmp_path / "checkpoint-7"), images("resnet")) < 1e-5


def without(folder: Path, *keys: str) -> Path:
    """A checkpoint whose configurations lack some keys."""
    for role in ("teacher", "student"):
        path = folder / f"{role}_config" / "config.json"
        table = json.loads(path.read_text())
        assert table.keys() >= set(keys)
        path.write_text(json.dumps({key: table[key] for key in table if key not in keys}))
    return folder


@pytest.mark.parametrize(
    ("family", "defaults"),
    [
        (
            "resnet",
            {
                "embedder_kernel_size": 7,
                "embedder_kernel_stride": 2,
                "embedder_use_pooler": True,
                "downsample_in_first_stage": False,
            },
        ),
        ("vgg", {"in_channels": 3, "pool_kernel": 2, "pool_stride": 2}),
        ("vit", {"layer_norm_eps": 1e-12, "layers_per_block": 1, "qkv_bias": True}),
    ],
)
def test_a_key_that_is_absent_means_the_reference_s_default(
    family: str, defaults: dict[str, Any], tmp_path: Path
) -> None:
    config = FAMILIES[family][0]
    made = twin(config(**defaults), config(**defaults), seed=1)
    folder = without(made.save(tmp_path / "checkpoint-7"), *defaults)
    assert farthest(made, folder, images(family)) < 1e-5


@pytest.mark.parametrize(
    ("poolings", "smallest"),
    [
        ({"pool_kernel": 3, "pool_stride": 2}, 15),
        ({"pool_kernel": 2, "pool_stride": 1}, 4),
        ({"pool_kernel": 1, "pool_stride": 2}, 1),
        ({"pool_kernel": 2, "pool_stride": None}, 8),
    ],
)
def test_a_vgg_s_poolings_are_those_of_its_configuration(
    poolings: dict[str, Any], smallest: int, tmp_path: Path
) -> None:
    small = {"hidden_sizes": [4, 6, 8], **poolings}
    made = twin(vgg_config(depths=[2, 1, 1], **small), vgg_config(depths=[1, 1, 1], **small))
    folder = made.save(tmp_path / "checkpoint-7")
    assert farthest(made, folder, torch.randn(2, 3, smallest, smallest + 7)) < 1e-5
    assert read_reference(str(folder), Silent()).spec.smallest == smallest


def test_keys_that_decide_nothing_are_left_alone(tmp_path: Path) -> None:
    extra = {"hidden_dropout_prob": 0.3, "out_features": ["stage2"], "my_note": {"lr": [1]}}
    made = pair("resnet", narrow=True, **extra)
    assert farthest(made, made.save(tmp_path / "checkpoint-7"), images("resnet")) < 1e-5


@pytest.mark.parametrize("transformers", [4, 5])
@pytest.mark.parametrize(
    "changes",
    [
        {"layer_norm_eps": 0.3, "qkv_bias": False},
        {"image_size": [16, 8], "patch_size": [2, 2], "num_attention_heads": 2},
        {"num_channels": 1},
    ],
)
def test_a_vit_s_arithmetic_is_that_of_its_configuration(
    changes: dict[str, Any], transformers: int, tmp_path: Path
) -> None:
    config, deeper, _ = FAMILIES["vit"]
    made = twin(config(blocks=3, **{**deeper, **changes}), config(blocks=3, **changes))
    folder = made.save(tmp_path / "checkpoint-7", transformers)
    height, width = changes.get("image_size", SIZES["vit"])
    inputs = torch.randn(2, changes.get("num_channels", 3), height, width)
    assert farthest(made, folder, inputs) < 1e-5
    assert read_reference(str(folder), Silent()).spec.size == (height, width)


@pytest.mark.parametrize("family", ["resnet", "vgg"])
def test_gray_images_of_any_size_are_taken(family: str, tmp_path: Path) -> None:
    channels = "in_channels" if family == "vgg" else "num_channels"
    made = pair(family, narrow=True, **{channels: 1})
    folder = made.save(tmp_path / "checkpoint-7")
    for size in (32, 51):
        assert farthest(made, folder, torch.randn(2, 1, size, size)) < 1e-5
    assert read_reference(str(folder), Silent()).spec.size is None


def test_converters_that_are_1x1_convolutions_are_read_too(tmp_path: Path) -> None:
    made = pair("resnet", narrow=True)
    folder = made.save(tmp_path / "checkpoint-7")
    tensors = made.tensors()
    for key in [key for key in tensors if key.endswith("linear.weight")]:
        tensors[key] = tensors[key][:, :, None, None]
    write(folder, tensors)
    assert farthest(made, folder, images("resnet")) < 1e-5


def test_two_labels_that_hugging_face_does_not_write_down_are_known(tmp_path: Path) -> None:
    made = pair("vgg", narrow=False, id2label={0: "LABEL_0", 1: "LABEL_1"}, label2id=None)
    folder = made.save(tmp_path / "checkpoint-7")
    assert "id2label" not in (folder / "teacher_config" / "config.json").read_text()
    assert read_reference(str(folder), Silent()).labels == ("LABEL_0", "LABEL_1")
    assert farthest(made, folder, images("vgg")) < 1e-5


class Said(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, line: str) -> None:
        self.text += f"{line}\n"

    def dead(self) -> set[str]:
        """The keys of dead weights, which stand below their title."""
        _, _, listed = self.text.partition("dead weights, which the reference implementation")
        return {line.strip() for line in listed.splitlines() if line.startswith("  ")}


@pytest.mark.parametrize("transformers", [4, 5])
def test_the_dead_weights_of_a_vit_are_named_and_not_applied(
    transformers: int, tmp_path: Path
) -> None:
    made = pair("vit", narrow=True)
    progress = Said()
    folder = made.save(tmp_path / "checkpoint-7", transformers)
    read_reference(str(folder), progress)
    assert sorted(progress.dead()) == [
        "swapnet.student.vit.blocks.5.1.module.bias",
        "swapnet.student.vit.blocks.5.1.module.weight",
        "swapnet.teacher.vit.blocks.5.2.module.bias",
        "swapnet.teacher.vit.blocks.5.2.module.weight",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_converters_behind_the_last_block_are_dead(family: str, tmp_path: Path) -> None:
    made = pair(family, narrow=True)
    folder = made.save(tmp_path / "checkpoint-7")
    extra = _last_converters(made)
    write(folder, made.tensors() | extra)
    progress = Said()
    read_reference(str(folder), progress)
    assert extra.keys() <= progress.dead()
    assert farthest(made, folder, images(family)) < 1e-5


def test_between_equal_widths_there_is_no_converter_that_could_be_dead(tmp_path: Path) -> None:
    made = pair("resnet", narrow=False)
    folder = made.save(tmp_path / "checkpoint-7")
    write(folder, made.tensors() | _last_converters(made))
    with pytest.raises(IntegrityError, match=r"left over swapnet\.decoders\.\d"):
        read_reference(str(folder), Silent())


def _last_converters(made: Twin) -> dict[str, Tensor]:
    last = len(made.routes[0]) - 1
    student, teacher = _last_widths(made)
    return {
        f"swapnet.encoders.{last}.linear.weight": torch.randn(student, teacher),
        f"swapnet.encoders.{last}.linear.bias": torch.randn(student),
        f"swapnet.decoders.{last}.linear.weight": torch.randn(teacher, student),
        f"swapnet.decoders.{last}.linear.bias": torch.randn(teacher),
    }


def _last_widths(made: Twin) -> tuple[int, int]:
    student, teacher = (
        next(p for p in network.classifier.parameters() if p.dim() == 2).shape[1]
        for network in (made.swapnet.student, made.swapnet.teacher)
    )
    return student, teacher


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_as_float32_and_said(dtype: torch.dtype, tmp_path: Path) -> None:
    made = pair("resnet", narrow=True)
    folder = made.save(tmp_path / "checkpoint-7")
    half = {k: t.to(dtype) if t.is_floating_point() else t for k, t in made.tensors().items()}
    write(folder, half)
    made.swapnet.load_state_dict(
        {key.removeprefix("swapnet."): tensor.float() for key, tensor in half.items()}
    )
    assert farthest(made, folder, images("resnet")) < 1e-5
    progress = Said()
    read_reference(str(folder), progress)
    assert f"weights in {str(dtype).removeprefix('torch.')} are taken as float32" in progress.text
