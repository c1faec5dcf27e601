"""Image classifiers of the timm library as teachers: tiny ones, with random weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.normalization import Normalization
from pipeline.ingest.torchvision_names import import_torchvision
from pipeline.ingest.zoo.timm_model import timm_model
from pipeline.ingest.zoo.timm_registry import registered_on_hub, timm_library
from pipeline.inspect import inspect
from pipeline.settings import Resizing
from pipeline.workflows.model_source import ModelSource
from pipeline.workflows.profile_settings import profile_settings
from tests.fixtures import ROOT
from tests.ingest import zoo_models
from tests.ingest.test_zoo import PROFILE
from tests.ingest.zoo_checks import (
    EXACT,
    cut_short,
    logits,
    opened,
    require_cut_and_slimmed,
    require_other_images_refused,
    require_pickles_read_safely,
    require_refused,
    require_same_elsewhere,
    rewrite,
    told,
    without_tensor,
)
from tests.ingest.zoo_models import SHAPE

if find_spec("timm") is None:
    pytest.skip("timm is not installed (an optional extra)", allow_module_level=True)

#: By name, what makes it tiny; those called test_ are so already.
MODELS: dict[str, dict[str, Any]] = {
    "test_resnet": {},
    "test_efficientnet": {},
    "test_convnext": {},
    "vit_tiny_patch16_224": {
        "img_size": 32,
        "patch_size": 8,
        "embed_dim": 16,
        "depth": 6,
        "num_heads": 4,
    },
}
SPLITS = {
    "test_resnet": ["layer1", "layer2..layer3"],
    "test_efficientnet": ["blocks.0", "blocks.2"],
    "test_convnext": ["stages.0", "stages.2"],
    "vit_tiny_patch16_224": ["blocks[0:3]", "blocks[3:6]"],
}


def saved(folder: Path, name: str = "test_resnet", config: Any = None, **changes: Any) -> nn.Module:
    """A model that the library saved, in eval mode; its weights are the same every time."""
    timm = timm_library("tests")
    torch.manual_seed(0)
    sizes = {"num_classes": 10, **MODELS[name], **changes}
    network: nn.Module = timm.create_model(name, **sizes).eval()
    timm.models.save_for_hf(network, folder, model_config=config, safe_serialization=True)
    return network


@pytest.mark.parametrize("name", MODELS)
def test_a_classifier_says_what_the_library_says_whole_and_cut(name: str, tmp_path: Path) -> None:
    expected = logits(saved(tmp_path, name))
    require_cut_and_slimmed(opened(timm_model, tmp_path), expected, (["auto:2"], SPLITS[name]))


@pytest.mark.parametrize("classes", [0, 10])
def test_features_are_an_embedding(classes: int, tmp_path: Path) -> None:
    network: Any = saved(tmp_path, num_classes=classes)
    network.reset_classifier(0)
    teacher = timm_model(str(tmp_path), lambda: SHAPE, Silent(), "embedding").teacher
    assert isinstance(teacher, nn.Module)
    require_cut_and_slimmed(teacher, logits(network), (["auto:2"], SPLITS["test_resnet"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ResNet as the library saves it."""
    saved(tmp_path / "resnet", config={"label_names": list("abcdefghij")})
    return tmp_path / "resnet"


def test_a_folder_s_model_is_the_same_wherever_it_lies(folder: Path) -> None:
    require_same_elsewhere(timm_model, folder)


def test_what_its_config_says_of_images_and_labels_is_taken_over(folder: Path) -> None:
    def change(config: dict[str, Any]) -> dict[str, Any]:
        images = {"input_size": [3, 96, 96], "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.25] * 3}
        config["pretrained_cfg"] |= images
        return config

    rewrite(folder, change)
    given = timm_model(str(folder), None, Silent())
    assert given.image_shape == (3, 96, 96)
    assert given.labels == tuple("abcdefghij")
    assert given.normalization == Normalization((0.5,) * 3, (0.25,) * 3)
    assert resizing_of(folder) == Resizing(96, "shortest-edge", 106, "bilinear")
    rewrite(folder, lambda config: {**config["pretrained_cfg"], "architecture": "test_resnet"})
    assert timm_model(str(folder), None, Silent()).image_shape == (3, 96, 96)  # older versions'
    squashed = {"architecture": "x", "pretrained_cfg": {"crop_mode": "squash", "crop_pct": 1.0}}
    rewrite(folder, lambda _: squashed | {"num_classes": 10})
    assert resizing_of(folder) == Resizing(224, "stretch", 224, "bicubic")


def resizing_of(folder: Path) -> Resizing:
    digits = 'source = "digits"\nimage_size = 16\ntest_images = 1600'
    text = PROFILE.replace(digits, 'source = "images"\npath = "."')
    path = folder.parent / "zoo.toml"
    path.write_text(text.replace("transformers:", "timm:"))
    data: Any = profile_settings(path).data
    found: Resizing = data.resizing
    return found


def without_a_tensor(folder: Path) -> None:
    without_tensor(folder, "fc.weight")


def with_another_head(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"model_args": {"num_classes": 7}})


def of_no_classes(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"num_classes": 0})


def of_no_such_code(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"architecture": "resnet0"})


def of_transformers(folder: Path) -> None:
    rewrite(folder, lambda config: {"model_type": "resnet"})


def of_borders(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"pretrained_cfg": {"mean": [0.5]}})


@pytest.mark.parametrize(
    ("damage", "what", "remedy"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json in it", "save_for_hf"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights in it", "save_for_hf"),
        (cut_short, "cannot read it: SafetensorError", "copy the whole folder"),
        (without_a_tensor, "cannot read it: RuntimeError: Error(s) in loading", "copy the whole"),
        (with_another_head, "not those of its config.json: Missing keys (fc.", "whole"),
        (of_no_classes, "it gives features", 'set kind = "embedding" in [task]'),
        (of_no_such_code, "cannot read it: RuntimeError: Unknown model (resnet0)", "save_for_hf"),
        (of_transformers, "the folder is of the transformers library", '/resnet"'),
        (of_borders, "mean and std have 1 and 3 values", "set mean, std"),
        (shutil.rmtree, "no such folder", "or a model of the hub"),
    ],
)
def test_what_is_no_whole_classifier_is_refused(
    damage: Callable[[Path], object], what: str, remedy: str, folder: Path
) -> None:
    damage(folder)
    require_refused(timm_model, folder, what, remedy)


def test_images_that_apps_cannot_make_are_refused(folder: Path) -> None:
    for stated, said in (
        ({"crop_mode": "border"}, "crop_mode border: apps have center and squash"),
        ({"interpolation": "lanczos"}, "interpolation lanczos: apps have bilinear and bicubic"),
        ({"input_size": [3, 32, 64]}, "input_size 32x64: apps have squares"),
    ):
        rewrite(folder, lambda config: config | {"pretrained_cfg": stated})  # noqa: B023
        with pytest.raises(UsageError, match=said):
            resizing_of(folder)


def test_pickled_weights_are_read_as_tensors_alone_and_that_is_said(folder: Path) -> None:
    require_pickles_read_safely(timm_model, folder)


def test_images_that_a_model_does_not_take_are_refused(folder: Path, tmp_path: Path) -> None:
    saved(tmp_path / "vit", "vit_tiny_patch16_224")
    require_other_images_refused(timm_model, folder, tmp_path / "vit")


def test_names_are_those_that_the_library_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    assert registered_on_hub("resnet18.a1_in1k") == "timm/resnet18.a1_in1k"
    assert registered_on_hub("resnet18").startswith("timm/resnet18.")
    with pytest.raises(UsageError, match="knows no such model") as refused:
        opened(timm_model, Path("resnet18.a1_in2k"))
    assert "resnet18.a1_in1k" in refused.value.remedy
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("resnet18.a1_in1k", "nobody/has-this@main"):
        with pytest.raises(UsageError, match="cannot be fetched from the hub") as refused:
            opened(timm_model, Path(name))
        assert "copy a folder" in refused.value.remedy


def test_a_library_that_is_not_there_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for place in (folder, Path("resnet18.a1_in1k")):
        with pytest.raises(UsageError, match="needs the package `timm`") as refused:
            opened(timm_model, place)
        assert "pip install" in refused.value.remedy


def test_a_function_may_give_what_torchvision_has(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torchvision.models import squeezenet1_1\n"
        "def teacher(): return squeezenet1_1(num_classes=10)\n"
    )
    said = told(inspect, f"python:{tmp_path}/mine.py:teacher", "--image-shape", "3,64,64")
    assert "features.12" in said


def test_a_classifier_is_tuned_for_other_labels(tmp_path: Path) -> None:
    saved(tmp_path / "resnet", num_classes=7, in_chans=1)
    text = PROFILE.replace("transformers:", "timm:").replace("resnet.encoder.stages.0", "layer1")
    text = text.replace("resnet.encoder.stages.1", "layer2..layer4")
    (tmp_path / "zoo.toml").write_text(
        text.replace("student =", 'teacher = { head = "replace" }\nstudent =')
    )
    source = ModelSource(profile_settings(tmp_path / "zoo.toml"), Silent())
    model, dataset = source.model, source.dataset
    assert logits(model.student, torch.zeros(1, 1, 16, 16)).shape == (1, 10)
    assert dataset.stated_by == "model"
    assert dataset.normalization.mean == pytest.approx((0.5,))


def test_models_of_transformers_are_read_beside_torchvision(tmp_path: Path) -> None:
    import_torchvision()
    expected = logits_of_transformers(zoo_models.saved(zoo_models.small_resnet(), tmp_path))
    code = (
        "from pipeline.core.progress import Silent\n"
        "from pipeline.ingest.zoo.transformers_model import transformers_model\n"
        "import sys, torch\n"
        "teacher = transformers_model(sys.argv[1], lambda: (1, 16, 16), Silent()).teacher\n"
        "print(teacher(torch.zeros(1, 1, 16, 16))[0, 0].item())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == pytest.approx(expected, abs=EXACT)


def logits_of_transformers(network: Any) -> float:
    with torch.no_grad():
        found: float = network(torch.zeros(1, 1, 16, 16)).logits[0, 0].item()
    return found
