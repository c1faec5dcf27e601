"""Image classifiers of the timm library as teachers: tiny ones, with random weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.normalization import Normalization
from pipeline.ingest.probe import probe_images
from pipeline.ingest.slim import slimmed
from pipeline.ingest.split import split_network
from pipeline.ingest.torchvision_names import import_torchvision
from pipeline.ingest.zoo.timm_model import timm_model
from pipeline.ingest.zoo.timm_registry import registered_on_hub, timm_library
from pipeline.inspect import inspect
from pipeline.model.content import content_of
from pipeline.settings import Resizing
from pipeline.workflows.model_source import ModelSource
from pipeline.workflows.profile_settings import profile_settings
from tests.fixtures import ROOT
from tests.ingest import zoo_models
from tests.ingest.test_zoo import PROFILE, Told, told

if find_spec("timm") is None:
    pytest.skip("timm is not installed (an optional extra)", allow_module_level=True)

SHAPE = (3, 32, 32)
IMAGES = probe_images(SHAPE)
EXACT = 1e-5
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


def logits(network: nn.Module, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(images)
    return found


def saved(folder: Path, name: str = "test_resnet", config: Any = None, **changes: Any) -> nn.Module:
    """A model that the library saved, in eval mode; its weights are the same every time."""
    timm = timm_library("tests")
    torch.manual_seed(0)
    sizes = {"num_classes": 10, **MODELS[name], **changes}
    network: nn.Module = timm.create_model(name, **sizes).eval()
    timm.models.save_for_hf(network, folder, model_config=config, safe_serialization=True)
    return network


def opened(place: Path, shape: tuple[int, ...] = SHAPE) -> nn.Module:
    teacher = timm_model(str(place), lambda: shape, Silent()).teacher
    assert isinstance(teacher, nn.Module)
    return teacher


@pytest.mark.parametrize("name", MODELS)
def test_a_classifier_says_what_the_library_says_whole_and_cut(name: str, tmp_path: Path) -> None:
    expected = logits(saved(tmp_path, name))
    teacher = opened(tmp_path)
    assert torch.allclose(logits(teacher), expected, rtol=0, atol=EXACT)
    for split in (["auto:2"], SPLITS[name]):
        blocks = split_network("zoo", "teacher", teacher, split, IMAGES)
        assert torch.allclose(logits(blocks), expected, rtol=0, atol=EXACT), split
    slim = slimmed("zoo", blocks, SHAPE, 0.5, 0.5)
    assert logits(slim).shape == expected.shape
    assert sum(map(Tensor.numel, slim.parameters())) < sum(map(Tensor.numel, blocks.parameters()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ResNet as the library saves it."""
    saved(tmp_path / "resnet", config={"label_names": list("abcdefghij")})
    return tmp_path / "resnet"


def test_a_folder_s_model_is_the_same_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    here, there = (
        content_of(dict(opened(place).named_children()))
        for place in (folder, tmp_path / "elsewhere")
    )
    assert here == there


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


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without_a_tensor(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["fc.weight"]
    save_file(tensors, file)


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
        (of_no_classes, "it gives features", "trained to classify images"),
        (of_no_such_code, "cannot read it: RuntimeError: Unknown model (resnet0)", "save_for_hf"),
        (of_transformers, "the folder is of the transformers library", '"transformers:resnet"'),
        (of_borders, "mean and std have 1 and 3 values", "set mean, std"),
        (shutil.rmtree, "no such folder", "or a model of the hub"),
    ],
)
def test_what_is_no_whole_classifier_is_refused(
    damage: Callable[[Path], object], what: str, remedy: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises(UsageError) as refused:
        opened(folder)
    assert what in refused.value.what
    assert remedy in refused.value.remedy


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
    expected = logits(opened(folder))
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    said = Told()
    teacher = timm_model(str(folder), lambda: SHAPE, said).teacher
    assert torch.equal(logits(teacher), expected)
    assert "weights_only" in said.lines[0]
    torch.save({"weights": Path}, folder / "pytorch_model.bin")  # anything that pickle can call
    with pytest.raises(UsageError, match="cannot read it"):
        opened(folder)


def test_images_that_a_model_does_not_take_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes images of 3 channel") as refused:
        opened(folder, (1, 32, 32))
    assert "channels = 3" in refused.value.remedy
    saved(tmp_path / "vit", "vit_tiny_patch16_224")
    with pytest.raises(UsageError, match=r"takes no images \[3, 24, 24\]") as refused:
        opened(tmp_path / "vit", (3, 24, 24))
    assert "image_size in [data] to 32" in refused.value.remedy


def test_names_are_those_that_the_library_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    assert registered_on_hub("resnet18.a1_in1k") == "timm/resnet18.a1_in1k"
    assert registered_on_hub("resnet18").startswith("timm/resnet18.")
    with pytest.raises(UsageError, match="knows no such model") as refused:
        opened(Path("resnet18.a1_in2k"))
    assert "resnet18.a1_in1k" in refused.value.remedy
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("resnet18.a1_in1k", "nobody/has-this@main"):
        with pytest.raises(UsageError, match="cannot be fetched from the hub") as refused:
            opened(Path(name))
        assert "copy a folder" in refused.value.remedy


def test_a_library_that_is_not_there_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for place in (folder, Path("resnet18.a1_in1k")):
        with pytest.raises(UsageError, match="needs the package `timm`") as refused:
            opened(place)
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
