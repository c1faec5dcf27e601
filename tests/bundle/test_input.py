"""What a manifest says of a model's input: an image with its preprocessing, or another tensor."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.bundle.manifest import Input

IMAGE: dict[str, Any] = {
    "shape": [1, 8, 8, 1],
    "layout": "NHWC",
    "preprocessing": {
        "orientation": "as-is",
        "color_space": "as-is",
        "background": None,
        "color_order": "gray",
        "resize": "none",
        "filter": None,
        "crop": "none",
        "height": 8,
        "width": 8,
        "scale": 255,
        "normalized_by": "profile",
        "training_images": None,
    },
    "normalization": {"mean": [0.5], "std": [0.25]},
}
TENSOR: dict[str, Any] = {"shape": [1, 2, 24], "layout": "NTC", "kind": "tensor"}
TOKENS: dict[str, Any] = {"shape": [1, 24], "layout": "NC", "kind": "tokens", "vocabulary": 90}


@pytest.mark.parametrize(
    "stated", [IMAGE, TENSOR, TOKENS, TENSOR | {"normalization": {"mean": [-40.0], "std": [9.0]}}]
)
def test_either_is_read_and_written_as_it_is(stated: dict[str, Any]) -> None:
    assert Input.model_validate(stated).model_dump(mode="json") == stated


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "tensor"},
        {"kind": "sound"},
        {"kind": "tokens", "vocabulary": 9},
        {"vocabulary": 9},
        {"preprocessing": None},
        {"normalization": None},
    ],
)
def test_an_image_without_its_steps_and_a_tensor_with_them_are_refused(
    change: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError):
        Input.model_validate(IMAGE | change)


def test_tokens_have_a_vocabulary() -> None:
    for wrong in (TOKENS | {"vocabulary": None}, TENSOR | {"vocabulary": 9}):
        with pytest.raises(ValidationError, match="tokens have a vocabulary"):
            Input.model_validate(wrong)
