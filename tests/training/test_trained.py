from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.tensors import Standardization
from pipeline.evaluation.predictions import EvaluatedModel, keep_labels, kept_labels
from pipeline.model.checkpoint import load_tensors, save_tensors
from pipeline.model.route import prefix_routes
from pipeline.settings import Settings, VggModel, VggSettings
from pipeline.training.trained import Description, load_trained, save_trained

Change = Callable[[dict[str, Any]], None]
VGG = VggSettings(widths=(4,), depths=(1,))
FAMILY = VggModel(family="vgg", teacher=VGG, student=VGG)


@pytest.fixture
def rewritten(tiny_model: EvaluatedModel, tmp_path: Path) -> Callable[[Change], Path]:
    """Makes a copy of the tiny checkpoint, its facts changed by a function."""

    def rewrite(change: Change) -> Path:
        tensors, facts = load_tensors(tiny_model.checkpoint)
        change(facts)
        save_tensors(tmp_path / "changed.safetensors", tensors, facts)
        return tmp_path / "changed.safetensors"

    return rewrite


def test_a_checkpoint_alone_gives_the_model_back(tiny_model: EvaluatedModel) -> None:
    loaded = load_trained(tiny_model.checkpoint)
    assert not loaded.model.training
    images = tiny_model.dataset.test.images[:16]
    inputs = loaded.spec.normalization.apply(images)
    for route in prefix_routes(3):
        expected = tiny_model.model(inputs, route)
        assert torch.allclose(loaded.model(inputs, route), expected, atol=1e-5)


def test_it_says_what_the_model_takes_and_answers(tiny_model: EvaluatedModel) -> None:
    opened = load_trained(tiny_model.checkpoint)
    assert opened.spec == tiny_model.dataset.spec
    assert opened.labels == tuple("0123456789")
    assert opened.classes == 10
    assert opened.routes == prefix_routes(3)


def test_a_model_of_values_takes_them_standardized() -> None:
    values = ImageSet(np.zeros((4, 1, 8, 8), np.float32), np.arange(4))
    rule = Standardization((3.0,), (2.0,))
    dataset = Dataset(values, values, ("a", "b"), rule, stated_by="profile")
    description = Description.of(FAMILY, dataset, None)
    again = Description.model_validate(description.model_dump(mode="json"))
    assert (again.image_shape, again.mean) == ((1, 8, 8), ())
    assert again.spec.kind_of(values.images) == "normalized"
    assert again.spec.kind_of(np.zeros((4, 8, 8, 1), np.uint8)) is None


def test_it_is_built_again_without_touching_the_random_numbers_of_the_caller(
    tiny_model: EvaluatedModel,
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_trained(tiny_model.checkpoint)
    assert torch.equal(torch.rand(3), expected)


def test_a_loaded_model_is_saved_as_the_same_bytes(
    tiny_model: EvaluatedModel, tiny_settings: Settings, tmp_path: Path
) -> None:
    loaded = load_trained(tiny_model.checkpoint)
    description = Description.of(tiny_settings.model, tiny_model.dataset, prefix_routes(3))
    save_trained(tmp_path / "again.safetensors", loaded.model, description)
    again = (tmp_path / "again.safetensors").read_bytes()
    assert again == tiny_model.checkpoint.read_bytes()


def test_the_checkpoint_of_a_teacher_alone_is_refused(tiny_model: EvaluatedModel) -> None:
    (teacher,) = tiny_model.checkpoint.parent.glob("teacher-*")
    with pytest.raises(UsageError, match="does not say which model") as caught:
        load_trained(teacher)
    assert "model-*.safetensors" in caught.value.remedy


class Boom:
    """Ends the test if it is ever unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4" + bytes(100),
        bytes(8),
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"{}",  # whole, but says nothing
        pickle.dumps(Boom()),
    ],
)
def test_other_files_are_refused_by_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=str(path)):
        load_trained(path)


def test_a_missing_checkpoint_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(UsageError, match="no such file"):
            load_trained(path)


def set_description(**values: Any) -> Change:
    return lambda facts: facts["trained"].update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_description(std=[0.0]), "std"),
        (set_description(mean=[float("nan")]), "mean"),
        (set_description(mean=[0.1, 0.2]), "1 channels, but 2 means"),
        (set_description(labels=[]), "labels"),
        (set_description(image_shape=[1, 8]), "image_shape"),
        (set_description(version=2), "version"),
        (set_description(routes=[]), "routes"),
        (set_description(routes=["TXS"]), "routes.0"),
        (set_description(routes=["SSS", "TT"]), "routes: TT for 3 blocks"),
        (set_description(code="import os"), "code"),
        (set_description(model={"family": "other"}), "model"),
        (lambda facts: facts.update(trained=[]), "the whole of it"),
    ],
)
def test_a_wrong_description_is_named(
    change: Change, said: str, rewritten: Callable[[Change], Path]
) -> None:
    with pytest.raises(UsageError) as caught:
        load_trained(rewritten(change))
    assert "changed.safetensors: its description is wrong" in caught.value.what
    assert said in caught.value.what


def test_weights_of_another_model_than_described_are_refused(
    rewritten: Callable[[Change], Path],
) -> None:
    path = rewritten(set_description(labels=["a", "b"]))
    with pytest.raises(IntegrityError, match=r"classifier.linear.bias is .*\[10\], not .*\[2\]"):
        load_trained(path)


def test_a_description_that_promises_a_giant_allocates_nothing(
    rewritten: Callable[[Change], Path],
) -> None:
    def grow(facts: dict[str, Any]) -> None:
        facts["trained"]["model"]["teacher"]["widths"] = [10**6, 10**6, 10**6]

    with pytest.raises(IntegrityError, match="does not fit the model"):
        load_trained(rewritten(grow))


@pytest.mark.parametrize("place", [0.5, 0.75, 0.999])
def test_a_value_that_changed_on_disk_is_noticed(place: float, tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    save_tensors(path, {"weights": torch.randn(500), "labels": torch.arange(500)}, {"epochs": 3})
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="its values are not those that were written"):
        load_tensors(path)
    keep_labels(path, torch.arange(500))
    data = path.read_bytes()
    assert kept_labels(path, (500,)) is not None
    path.write_bytes(data[:-1] + b"x")
    assert kept_labels(path, (500,)) is None


def test_weights_of_another_dtype_are_refused(tiny_model: EvaluatedModel, tmp_path: Path) -> None:
    tensors, facts = load_tensors(tiny_model.checkpoint)
    name = "student.classifier.linear.bias"
    tensors[name] = tensors[name].half()
    save_tensors(tmp_path / "half.safetensors", tensors, facts)
    with pytest.raises(IntegrityError, match=rf"{name} is float16 \[10\], not float32 \[10\]"):
        load_trained(tmp_path / "half.safetensors")
