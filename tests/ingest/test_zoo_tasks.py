"""Networks of the transformers library that give embeddings, or label pixels, as teachers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.ingest.calling import called
from pipeline.ingest.split import split_network
from pipeline.ingest.zoo.transformers_model import transformers_model
from pipeline.inspect import inspect
from pipeline.settings import SourceModel, TaskKind
from pipeline.workflows.model_source import ModelSource
from pipeline.workflows.profile_settings import profile_settings
from tests.fixtures import ROOT
from tests.ingest.zoo_checks import EXACT, IMAGES, logits, require_cut_and_slimmed, told
from tests.ingest.zoo_models import SHAPE, resnet, saved, vit
from tests.said_lines import SaidLines

SEGFORMER = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 8, 16, 16],
    "num_attention_heads": [1, 1, 2, 2],
    "decoder_hidden_size": 16,
    "sr_ratios": [4, 2, 1, 1],
}


def segformer(folder: Path) -> Any:
    """A segmenter for three classes, saved as the library saves it."""
    torch.manual_seed(0)
    config = hf.SegformerConfig(**SEGFORMER, num_labels=3)
    network = hf.SegformerForSemanticSegmentation(config).eval()
    network.save_pretrained(folder)
    return network


def extractor(folder: Path) -> Any:
    """A ResNet without a classifier, saved as the library saves it."""
    torch.manual_seed(0)
    network = hf.ResNetModel(resnet()).eval()
    network.save_pretrained(folder)
    return network


def teacher_of(folder: Path, task: TaskKind | None) -> nn.Module:
    network = transformers_model(str(folder), lambda: SHAPE, Silent(), task).teacher
    assert isinstance(network, nn.Module)
    return network


def pooled(network: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(IMAGES).pooler_output.flatten(1)
    return found


def test_what_the_library_pools_is_an_embedding(tmp_path: Path) -> None:
    expected = pooled(extractor(tmp_path))
    splits = (["auto:2"], ["encoder.stages.0", "encoder.stages.1"])
    require_cut_and_slimmed(teacher_of(tmp_path, "embedding"), expected, splits)


def test_a_classifier_s_features_are_an_embedding(tmp_path: Path) -> None:
    expected = pooled(getattr(saved(resnet(), tmp_path), "resnet"))  # noqa: B009
    said = SaidLines()
    given = transformers_model(str(tmp_path), lambda: SHAPE, said, "embedding")
    assert isinstance(given.teacher, nn.Module)
    assert torch.allclose(logits(given.teacher), expected, rtol=0, atol=EXACT)
    assert "does not use: classifier.1.bias" in said.lines[0]


def test_a_segmenter_labels_every_pixel(tmp_path: Path) -> None:
    """Its decoder reads what hooks of the library kept of the stages."""
    small = logits(segformer(tmp_path))
    assert small.shape == (len(IMAGES), 3, 8, 8)
    expected = nn.functional.interpolate(small, SHAPE[1:], mode="bilinear")
    splits = (["auto:2"], ["segformer.stages.0.layer_norm", "decode_head.linear_fuse"])
    require_cut_and_slimmed(teacher_of(tmp_path, "dense"), expected, splits)


def test_a_folder_is_inspected_for_the_task_of_its_class(tmp_path: Path) -> None:
    segformer(tmp_path / "segmenter")
    said = told(inspect, f"transformers:{tmp_path}/segmenter", "--image-shape", "3,32,32")
    assert "decode_head.linear_fuse" in said
    expected = pooled(extractor(tmp_path / "extractor"))
    assert torch.equal(logits(teacher_of(tmp_path / "extractor", None)), expected)


PROFILE = """
name = "zoo"
[data]
source = "npz"
path = "data.npz"
[model]
source = "transformers:network"
split = "auto:2"
student = { from = "teacher", width = 0.5 }
[training]
distillation = { recipe = "joint", epochs = 1 }
[task]
"""


def test_profiles_name_them(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    maps = np.arange(4096).reshape(4, 32, 32) % 3
    arrays = {"x_train": images, "y_train": maps, "x_test": images, "y_test": maps}
    np.savez(tmp_path / "data.npz", **arrays)
    segformer(tmp_path / "network")
    (tmp_path / "zoo.toml").write_text(PROFILE + 'kind = "dense"')
    model = ModelSource(profile_settings(tmp_path / "zoo.toml"), Silent()).model
    assert logits(model.student).shape == (len(IMAGES), 3, 32, 32)
    extractor(tmp_path / "network")
    (tmp_path / "zoo.toml").write_text(PROFILE + 'kind = "embedding"')
    model = ModelSource(profile_settings(tmp_path / "zoo.toml"), Silent()).model
    assert logits(model.student).shape == logits(model.teacher).shape == (len(IMAGES), 32)


def refused(folder: Path, task: TaskKind) -> UsageError:
    with pytest.raises(UsageError) as caught:
        teacher_of(folder, task)
    return caught.value


def test_a_model_without_pooled_features_is_refused(tmp_path: Path) -> None:
    saved(vit(), tmp_path / "vit")  # the library would draw its pooler's weights anew
    segformer(tmp_path / "segmenter")
    for name, why in (("vit", "no pooler.dense.bias, pooler.dense.weight"), ("segmenter", "Model")):
        error = refused(tmp_path / name, "embedding")
        assert "features that are not pooled" in error.what
        assert why in error.what
        assert "docs/embeddings.md" in error.remedy


def test_a_model_of_another_task_is_refused(tmp_path: Path) -> None:
    segformer(tmp_path / "segmenter")
    saved(resnet(), tmp_path / "classifier")
    error = refused(tmp_path / "segmenter", "classification")
    assert "SegformerForSemanticSegmentation, which classifies no images" in error.what
    assert 'kind = "dense" in [task]' in error.remedy
    error = refused(tmp_path / "classifier", "dense")
    assert "ResNetForImageClassification, which gives pixels no labels" in error.what
    assert 'kind = "classification" in [task]' in error.remedy


def test_the_function_of_the_page_pools_such_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "embeddings.md").read_text()
    (code,) = re.findall(r"```python\n(# pooled.py.*?)```", page, re.DOTALL)
    (tmp_path / "pooled.py").write_text(code)
    network: Any = saved(vit(), tmp_path / "models" / "my-vit")
    monkeypatch.chdir(tmp_path)
    teacher = called(SourceModel(source="python:pooled.py:model"), lambda: SHAPE, Silent()).teacher
    assert isinstance(teacher, nn.Module)
    expected = network.vit(IMAGES).last_hidden_state[:, 0]
    assert torch.allclose(logits(teacher.eval()), expected, rtol=0, atol=EXACT)
    split_network("zoo", "teacher", teacher, ["auto:2"], IMAGES)
