"""What a preprocessor_config.json says of sizes, held against the library that wrote it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import (
    ConvNextImageProcessorPil,
    DeiTImageProcessorPil,
    EfficientNetImageProcessorPil,
    MobileNetV2ImageProcessorPil,
    ViTImageProcessorPil,
)

from pipeline.core.errors import UsageError
from pipeline.data.decode import Encoded, decode
from pipeline.ingest.preprocessor import stated_normalization, stated_resizing
from pipeline.settings import FolderData, Resizing

RANDOM = np.random.default_rng(0)
PHOTOS = [
    Image.fromarray(RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((61, 97), (70, 40), (24, 24))
]
SMALL = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
#: What the library makes ready as its models were trained, and what that is here.
PROCESSORS = {
    "ViT": (ViTImageProcessorPil(size=32), Resizing(32, "stretch", 32, "bilinear")),
    "Swin": (ViTImageProcessorPil(size=32, resample=3), Resizing(32, "stretch", 32, "bicubic")),
    "DeiT": (DeiTImageProcessorPil(size=36, crop_size=32), Resizing(32, "stretch", 36, "bicubic")),
    "ConvNeXt": (
        ConvNextImageProcessorPil(size={"shortest_edge": 28}),
        Resizing(28, "shortest-edge", 32, "bicubic"),
    ),
    "MobileNetV2": (
        MobileNetV2ImageProcessorPil(**SMALL),
        Resizing(32, "shortest-edge", 36, "bilinear"),
    ),
    "EfficientNet": (
        EfficientNetImageProcessorPil(size=32, resample=2, rescale_offset=False),
        Resizing(32, "stretch", 32, "bilinear"),
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_images_are_made_ready_as_the_library_does(name: str, tmp_path: Path) -> None:
    processor, expected = PROCESSORS[name]
    processor.save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    resizing, normalization = stated_resizing(path), stated_normalization(path)
    assert resizing == expected
    settings = FolderData(
        source="images",
        path=tmp_path,
        image_size=resizing.image_size,
        resize=resizing.resize,
        resize_size=resizing.to,
        filter=resizing.filter,
    )
    for photo in PHOTOS:
        file = io.BytesIO()
        photo.save(file, "PNG")
        pixels = decode(Encoded(file.getvalue(), "test"), settings).pixels
        inputs = normalization.apply(pixels[np.newaxis]).numpy()
        wanted = np.asarray(processor(photo, return_tensors="np")["pixel_values"])
        assert inputs.shape == wanted.shape
        # A value of 8 bits at most, where the library keeps floats between its steps.
        assert np.abs(inputs - wanted).max() <= 1.01 / 255 / min(normalization.std)


def stated(folder: Path, **said: Any) -> Resizing | None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(said))
    return stated_resizing(path)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, None),
        ({"size": 64, "do_resize": False}, None),
        ({"size": 64, "feature_extractor_type": "ViTFeatureExtractor"}, (64, "stretch", 64)),
        ({"size": [64, 64]}, (64, "stretch", 64)),
        ({"size": 384, "image_processor_type": "ConvNextImageProcessor"}, (384, "stretch", 384)),
        (
            {"size": 256, "crop_size": 224, "do_center_crop": True},
            (224, "shortest-edge", 256),
        ),
        (
            {"size": {"height": 64, "width": 64}, "do_reduce_labels": True, "do_convert_rgb": True},
            (64, "stretch", 64),
        ),
    ],
)
def test_a_size_may_be_said_in_several_ways(said: Any, expected: Any, tmp_path: Path) -> None:
    found = stated(tmp_path, **said)
    assert (found and (found.image_size, found.resize, found.to)) == expected


SQUARE = {"size": {"height": 64, "width": 64}}


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (SQUARE | {"resample": 1}, "resample 1 (lanczos)"),
        (SQUARE | {"resample": 9}, "resample 9 (unknown)"),
        ({"size": {"height": 64, "width": 32}}, "size {'height': 64, 'width': 32}"),
        ({"size": {"longest_edge": 64}}, "the shorter side of all others"),
        ({"size": {"shortest_edge": 64}}, "images have many shapes"),
        (SQUARE | {"do_center_crop": True, "crop_size": 80}, "crop_size 80 is more than"),
        ({"do_center_crop": True, "crop_size": 80}, "images that are not resized"),
        (SQUARE | {"do_pad": True}, "do_pad: a step that no app"),
        (SQUARE | {"do_flip_channel_order": True}, "do_flip_channel_order"),
        (SQUARE | {"rescale_offset": True}, "rescale_offset"),
        (SQUARE | {"image_processor_type": "LevitImageProcessorFast"}, "a rule of its own"),
        ({"size": "large"}, "size"),
        ({"size": 0}, "size"),
    ],
)
def test_what_no_app_can_repeat_is_named(said: Any, what: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        stated(tmp_path, **said)
    assert what in refused.value.what
    assert "preprocessor_config.json" in refused.value.what
    assert "image_size in [data]" in refused.value.remedy
