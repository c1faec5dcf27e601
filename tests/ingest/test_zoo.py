"""Image classifiers of the transformers library as teachers: tiny ones, with random weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from typer.testing import CliRunner

from pipeline.build import build
from pipeline.bundle.verify import open_bundle
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.normalization import Normalization
from pipeline.ingest.cuts import possible_cuts
from pipeline.ingest.zoo.transformers_model import transformers_model
from pipeline.inspect import inspect
from pipeline.settings import Resizing
from pipeline.workflows.model_source import ModelSource
from pipeline.workflows.profile_settings import profile_settings
from tests.fixtures import ROOT
from tests.ingest.zoo_checks import (
    IMAGES,
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
from tests.ingest.zoo_models import MODELS, SHAPE, resnet, saved, small_resnet, vit

NORMALIZED = {"image_mean": [0.3], "image_std": [0.4]}
#: By model: some of its submodules, by the names that the library gives them.
NAMES = {
    "ViT": ["vit.layers.0", "vit.layers.2"],
    "ConvNeXt": ["convnext.encoder.stages.0", "convnext.encoder.stages.2"],
    "ResNet": ["resnet.encoder.stages.0", "resnet.encoder.stages.1..resnet.encoder.stages.2"],
    "MobileNetV2": ["mobilenet_v2.layer[0:8]", "mobilenet_v2.layer[8:16]"],
    "Swin": ["swin.encoder.layers.0", "swin.encoder.layers.1"],
}


@pytest.mark.parametrize("name", MODELS)
def test_a_classifier_says_what_the_library_says_whole_and_cut(name: str, tmp_path: Path) -> None:
    expected = logits(saved(MODELS[name](), tmp_path))
    teacher = opened(transformers_model, tmp_path)
    found = possible_cuts("zoo", teacher, IMAGES)
    assert len(found.parts) >= 4
    require_cut_and_slimmed(teacher, expected, (["auto:2"], NAMES[name]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ResNet as the library saves it."""
    saved(resnet(), tmp_path / "resnet")
    return tmp_path / "resnet"


def test_a_folder_s_model_is_the_same_wherever_it_lies(folder: Path) -> None:
    require_same_elsewhere(transformers_model, folder)


def test_pickled_weights_are_read_as_tensors_alone_and_that_is_said(folder: Path) -> None:
    require_pickles_read_safely(transformers_model, folder)


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def without_a_tensor(folder: Path) -> None:
    without_tensor(folder, "classifier.1.weight")


def of_more_labels(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"id2label": {n: f"LABEL_{n}" for n in range(12)}})


def of_another_task(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"architectures": ["ResNetModel"]})


def of_code_of_its_own(folder: Path) -> None:
    rewrite(folder, lambda config: config | {"model_type": "mine", "auto_map": {"x": "mine.M"}})


def of_timm(folder: Path) -> None:
    (folder / "config.json").write_text('{"architecture": "resnet18"}')


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "what", "remedy"),
    [
        (without_config, "there is no config.json in it", "save_pretrained writes it"),
        (of_timm, "the folder is timm's", 'source = "timm:/'),
        (of_timm, "the folder is timm's", '/resnet"'),
        (no_json, "config.json: the file: Invalid JSON", "of the transformers library"),
        (without_weights, "there are no weights in it", "copy the whole folder"),
        (cut_short, "cannot read it: SafetensorError", "copy the whole folder"),
        (without_a_tensor, "classifier.1.weight are not there", "trained to classify images"),
        (of_more_labels, "cannot read it", "copy the whole folder"),
        (of_another_task, "a ResNetModel, which classifies no images", "ForImageClassification"),
        (of_code_of_its_own, "cannot read it: ValueError", "copy the whole folder"),
        (shutil.rmtree, "no such folder", "or a model of the hub"),
    ],
)
def test_what_is_no_whole_classifier_is_refused(
    damage: Callable[[Path], None], what: str, remedy: str, folder: Path
) -> None:
    damage(folder)
    require_refused(transformers_model, folder, what, remedy)


def test_a_folder_of_the_hub_is_called_as_the_hub_calls_it(folder: Path) -> None:
    of_timm(folder)
    kept = folder.parent / "models--timm--resnet18.a1_in1k" / "snapshots" / "0a1b2c"
    kept.parent.mkdir(parents=True)
    folder.rename(kept)
    said = "the folder is timm's"
    require_refused(transformers_model, kept, said, 'source = "timm:timm/resnet18.a1_in1k"')


def test_images_that_a_model_does_not_take_are_refused(folder: Path, tmp_path: Path) -> None:
    saved(vit(), tmp_path / "vit")
    require_other_images_refused(transformers_model, folder, tmp_path / "vit")


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="cannot be fetched from the hub") as refused:
        transformers_model("nobody/has-this@main", lambda: SHAPE, Silent())
    assert "copy a folder" in refused.value.remedy


def test_labels_are_those_that_somebody_named(folder: Path) -> None:
    assert transformers_model(str(folder), lambda: SHAPE, Silent()).labels is None
    names = dict(enumerate("abcdefghij"))
    rewrite(folder, lambda config: config | {"id2label": names})
    assert transformers_model(str(folder), lambda: SHAPE, Silent()).labels == tuple("abcdefghij")


def test_the_normalization_is_taken_over(folder: Path) -> None:
    said = {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    stated = transformers_model(str(folder), lambda: SHAPE, Silent()).normalization
    assert stated == Normalization((0.5,) * 3, (0.25,) * 3)


def test_the_library_is_imported_for_this_source_alone() -> None:
    named = r"(timm|transformers|huggingface_hub)\b"
    importing = {
        path.parent.name
        for path in (ROOT / "pipeline").rglob("*.py")
        if re.search(rf"^\s*(import|from) {named}|import_module..{named}", path.read_text(), re.M)
    }
    assert importing == {"zoo"}


PROFILE = """
name = "zoo"

[data]
source = "digits"
image_size = 16
test_images = 1600

[model]
source = "transformers:resnet"
split = ["resnet.encoder.stages.0", "resnet.encoder.stages.1"]
student = { from = "teacher", width = 0.5 }

[training]
threads = 1
distillation = { recipe = "joint", epochs = 1 }

[schedule]
stages = "all"

[bundle]
golden_images = 2
evaluation_images = 20
"""
OWN = '{ from = "python:mine.py:student", split = ["1", "2"] }'
MINE = """
from torch import nn
def student():
    stem, body, end = nn.Conv2d(1, 4, 7, 4, 3), nn.Conv2d(4, 6, 3, 1, 1), nn.Conv2d(6, 8, 3, 4, 1)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    return nn.Sequential(stem, body, end, *head)
"""


def profile(folder: Path, text: str = PROFILE, **stated: Any) -> Path:
    """A profile beside the gray ResNet that it names, which has a preprocessor_config.json."""
    saved(small_resnet(), folder / "resnet")
    (folder / "resnet" / "preprocessor_config.json").write_text(json.dumps(NORMALIZED | stated))
    (folder / "zoo.toml").write_text(text)
    return folder / "zoo.toml"


def test_a_classifier_becomes_a_bundle(tmp_path: Path) -> None:
    stated = {"size": {"height": 16, "width": 16}, "resample": 2}
    path = profile(tmp_path, **stated)
    told(build, path, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--jobs", 1)
    manifest = open_bundle(tmp_path / "out").manifest
    assert [stage.route for stage in manifest.stages] == ["SS", "TS", "TT"]
    assert manifest.model.family == "transformers"
    normalization, preprocessing = manifest.input.normalization, manifest.input.preprocessing
    assert (normalization.mean, normalization.std) == ((0.3,), (0.4,))
    assert (preprocessing.normalized_by, preprocessing.resize) == ("model", "stretch")
    assert not [each for each in manifest.warnings if each.kind in ("data", "normalization")]


def test_a_student_of_one_s_own_learns_from_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    path = profile(tmp_path, PROFILE.replace('{ from = "teacher", width = 0.5 }', OWN))
    source = ModelSource(profile_settings(path), Silent())
    model, content = source.model, source.content()
    assert [block.out_channels for block in model.student.blocks] == [6, 8]
    assert isinstance(model.encoders[0], nn.Conv2d)
    (tmp_path / "mine.py").write_text(MINE.replace("7, 4, 3", "7, 2, 3"))
    other = ModelSource(profile_settings(path), Silent())
    with pytest.raises(UsageError, match="differ in more than the channels"):
        other.content()
    (tmp_path / "mine.py").write_text(MINE + "# another text\n")
    assert ModelSource(profile_settings(path), Silent()).content() != content
    path.write_text(PROFILE.replace('"teacher"', '"keras:mine.py:student"'))
    with pytest.raises(UsageError, match="should be python:MODULE:FUNCTION"):
        profile_settings(path)


@pytest.mark.parametrize(
    ("student", "split", "said", "remedy"),
    [
        (MINE, "", "has no blocks", 'split = "auto:4", or .* beside from in .model. student'),
        (MINE.replace("(8, 10)", "(8, 6)"), ', split = ["1", "2"]', "the student 6", '"replace"'),
    ],
)
def test_what_helps_a_student_of_one_s_own_is_told(
    student: str, split: str, said: str, remedy: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(student)
    own = f'{{ from = "python:mine.py:student"{split} }}'
    path = profile(tmp_path, PROFILE.replace('{ from = "teacher", width = 0.5 }', own))
    with pytest.raises(UsageError, match=said) as refused:
        ModelSource(profile_settings(path), Silent()).content()
    assert re.search(remedy, refused.value.remedy)


def test_images_that_are_resized_otherwise_are_told(tmp_path: Path) -> None:
    path = profile(tmp_path, size={"shortest_edge": 18}, crop_size=16, do_center_crop=True)
    notes = ModelSource(profile_settings(path), Silent()).dataset.notes
    assert len(notes) == 1
    assert "to 16 pixels, bilinear, but" in notes[0]
    assert "shorter side to 18 pixels, bilinear, 16 cut out" in notes[0]


def test_a_profile_s_own_normalization_must_be_the_model_s(tmp_path: Path) -> None:
    text = PROFILE.replace("image_size = 16", "image_size = 16\nmean = [0.5]\nstd = [0.5]")
    with pytest.raises(UsageError, match="two normalizations are stated"):
        _ = ModelSource(profile_settings(profile(tmp_path, text)), Silent()).model


def test_data_of_other_labels_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    settings = profile_settings(profile(tmp_path))
    saved(small_resnet(), tmp_path / "resnet", classes=12)
    with pytest.raises(UsageError, match="12 logits, the data has 10 labels"):
        _ = ModelSource(settings, Silent()).model
    saved(small_resnet(), tmp_path / "resnet")
    rewrite(
        tmp_path / "resnet",
        lambda config: config | {"id2label": dict(enumerate("9876543210"))},
    )
    with pytest.raises(UsageError, match="labels in another order"):
        _ = ModelSource(settings, Silent()).model


def test_what_a_profile_leaves_out_of_sizes_is_as_the_model_s(tmp_path: Path) -> None:
    images = 'source = "images"\npath = "."'
    text = PROFILE.replace('source = "digits"\nimage_size = 16\ntest_images = 1600', images)
    stated = {"size": {"shortest_edge": 36}, "crop_size": 32, "do_center_crop": True, "resample": 3}
    settings = profile_settings(profile(tmp_path, text, **stated))
    assert settings.data.resizing == Resizing(32, "shortest-edge", 36, "bicubic")
    own = profile_settings(profile(tmp_path, text.replace(images, f"{images}\nimage_size = 24")))
    assert own.data.resizing == Resizing(24, "stretch", 24, "bilinear")


def test_a_folder_is_inspected_before_any_profile_is_written(folder: Path) -> None:
    said = told(inspect, f"transformers:{folder}", "--image-shape", "3,32,32", "--blocks", 2)
    assert "resnet.encoder.stages.2" in said
    assert '"auto:2" is ["' in said
    result = CliRunner().invoke(inspect, [f"transformers:{folder}"])
    assert "give --image-shape 3,224,224" in " ".join(result.stderr.split())
