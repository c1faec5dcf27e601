"""A normalization that the profile or the model's source states is the one that is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.normalization import Normalization
from pipeline.data.preprocessing import Preprocessing
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.route import prefix_routes
from pipeline.settings import Settings
from pipeline.training.trained import Description
from pipeline.workflows.load_model import model_of, open_model
from pipeline.workflows.schedule_model import ScheduledModel
from tests.fixtures import settings_from
from tests.ingest.test_reference_commands import digits_twin

MODEL = """
import numpy as np
import torch
from torch import nn
from pipeline.ingest.python import Normalization, OwnModel

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedder = nn.Flatten()
        self.blocks = nn.ModuleList([nn.Linear(64, 8), nn.Linear(8, 8)])
        self.classifier = nn.Linear(8, 10)

def model():
    return OwnModel(Net(), Net(), (1, 8, 8), [None], normalization=STATED)
"""
PROFILE = """
name = "stated"
[data]
source = "digits"
test_images = 50
{data}
[model]
source = "{source}"
{model}
"""
MEAN, STD = "mean = [0.25]", "std = [0.5]"
BOTH = f"{MEAN}\n{STD}"

Own = Callable[..., Settings]


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """Makes a profile of a model of the user's own that comes trained, with what is stated."""

    def make(stated: str = "None", data: str = "", model: str = "") -> Settings:
        (tmp_path / "net.py").write_text(MODEL.replace("STATED", stated))
        source = f"python:{tmp_path / 'net.py'}:model"
        return settings_from(PROFILE.format(data=data, source=source, model=model), tmp_path)

    return make


def evaluated(settings: Settings, folder: Path) -> EvaluatedModel:
    routes = prefix_routes(2)
    return model_of(settings, folder / "cache", Silent()).train_and_evaluate(routes, routes)


def warned(settings: Settings, found: EvaluatedModel) -> list[str]:
    said = ScheduledModel(found, found.routes, None, found.routes).warnings(settings)
    return [warning.text for warning in said if warning.kind == "normalization"]


@pytest.mark.parametrize(
    ("stated", "data", "model", "by"),
    [
        ("None", BOTH, "", "profile"),
        ("None", "", "normalization = { mean = [0.25], std = [0.5] }", "profile"),
        ("Normalization(mean=[0.25], std=[0.5])", "", "", "model"),
        ("((0.25,), (0.5,))", "", "", "model"),
        ("Normalization(torch.tensor([0.25]), np.array([0.5]))", "", "", "model"),
        ("Normalization([0.25], [0.5])", BOTH, "", "profile"),  # both say the same
    ],
)
def test_what_is_stated_is_used_and_said(
    stated: str, data: str, model: str, by: str, own: Own, tmp_path: Path
) -> None:
    settings = own(stated, data, model)
    found = evaluated(settings, tmp_path)
    assert found.dataset.normalization == Normalization((0.25,), (0.5,))
    assert Preprocessing.of(settings.data, found.dataset).normalized_by == by
    assert warned(settings, found) == []


def test_a_model_that_came_trained_and_says_nothing_is_warned_of(own: Own, tmp_path: Path) -> None:
    settings = own()
    found = evaluated(settings, tmp_path)
    preprocessing = Preprocessing.of(settings.data, found.dataset)
    assert preprocessing.normalized_by == "training-images"
    assert preprocessing.origin == "computed from 1,747 training images"
    (text,) = warned(settings, found)
    assert "net.py:model came trained, and neither it nor the profile states" in text
    assert "set mean and std in [data]" in text


@pytest.mark.parametrize(
    ("stated", "data", "model", "said"),
    [
        ("Normalization([0.3], [0.5])", BOTH, "", r"profile: mean 0.25, std 0.5\n.*mean 0.3, std"),
        ("None", BOTH, "normalization = { mean = [0], std = [1] }", r"\[model\] normalization"),
        ("Normalization([0.3] * 3, [0.5] * 3)", "", "", "has 3 values, image_shape 1 channels"),
        ("Normalization([123.7], [58.4])", "", "", "divide one of 0 to 255 by 255"),
        ("Normalization([0.5], [0.0])", "", "", "a deviation is above 0"),
        ("Normalization([float('nan')], [0.5])", "", "", "should be a finite number"),
        ("Normalization([0.5], [0.5, 0.5])", "", "", "mean has 1 values and std 2"),
        ("'imagenet'", "", "", "normalization is str"),
        ("Normalization('none', None)", "", "", "normalization.mean: Input should be a valid"),
        ("None", "mean = [0.4, 0.4, 0.4]\nstd = [0.2, 0.2, 0.2]", "", r"3 channel.*images have 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    stated: str, data: str, model: str, said: str, own: Own, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"(?s){said}") as caught:
        evaluated(own(stated, data, model), tmp_path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (MEAN, "mean and std belong together"),
        ("mean = [123.7]\nstd = [58.4]", "data.mean.0: a mean is from 0 to 1.*divide"),
        ("mean = [0.5]\nstd = [0.5, 0.5]", "mean has 1 values and std 2"),
        ("mean = [0.5]\nstd = [1e-300]", "data.std.0: a deviation is above 0, 0.001 at least"),
        ("mean = [true]\nstd = [0.5]", "data.mean.0: input should be a valid number"),
        ("mean = [0.5]\nstd = [0]", "data.std.0: a deviation is above 0"),
        ("mean = []\nstd = []", "at least 1 entry is needed"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused_by_key(data: str, said: str, own: Own) -> None:
    with pytest.raises(UsageError, match=f"(?s){said}"):
        own(data=data)


def test_another_normalization_is_never_answered_from_the_cache(own: Own, tmp_path: Path) -> None:
    first = evaluated(own("Normalization([0.0], [1.0])"), tmp_path)
    again = evaluated(own("Normalization([1.0], [0.01])"), tmp_path)
    assert len(list(tmp_path.rglob("evaluation-*"))) == 2 * len(first.routes)
    assert not np.array_equal(first.predictions, again.predictions)


def test_images_without_a_profile_are_normalized_as_the_model_states(
    own: Own, tmp_path: Path
) -> None:
    own("Normalization([0.25], [0.5])")
    opened = open_model(f"python:{tmp_path / 'net.py'}:model", Silent())
    assert opened.spec.normalization == Normalization((0.25,), (0.5,))
    assert opened.spec.kind_of(np.zeros((1, 8, 8, 1), np.uint8)) == "plain"


def test_a_checkpoint_describes_what_was_stated(own: Own, tmp_path: Path) -> None:
    settings = own("Normalization([0.25], [0.5])")
    found = evaluated(settings, tmp_path)
    description = Description.of(settings.model, found.dataset, None)
    assert (description.mean, description.std) == ((0.25,), (0.5,))


def reference(folder: Path, data: str = "", **preprocessor: Any) -> Settings:
    digits_twin().save(folder / "checkpoint-7")
    if preprocessor:
        path = folder / "checkpoint-7" / "preprocessor_config.json"
        path.write_text(json.dumps(preprocessor))
    source = f"reference:{folder / 'checkpoint-7'}"
    return settings_from(PROFILE.format(data=data, source=source, model=""), folder)


@pytest.mark.parametrize(
    "preprocessor",
    [
        {"image_mean": [0.25], "image_std": [0.5]},
        {"image_mean": [63.75], "image_std": [127.5], "do_rescale": False},
        {"image_mean": [0.5], "image_std": [1.0], "rescale_factor": 2 / 255, "size": 8},
    ],
)
def test_a_reference_checkpoint_may_state_it(preprocessor: Any, tmp_path: Path) -> None:
    settings = reference(tmp_path, **preprocessor)
    dataset = evaluated(settings, tmp_path).dataset
    assert dataset.stated_by == "model"
    assert dataset.normalization.agrees_with(Normalization((0.25,), (0.5,)))


def test_a_reference_checkpoint_that_does_not_is_warned_of(tmp_path: Path) -> None:
    settings = reference(tmp_path)
    assert "neither it nor the profile states" in warned(settings, evaluated(settings, tmp_path))[0]


def test_a_reference_checkpoint_and_the_profile_have_to_agree(tmp_path: Path) -> None:
    settings = reference(tmp_path, BOTH, image_mean=[0.5], image_std=[0.5])
    with pytest.raises(UsageError, match="two normalizations are stated"):
        evaluated(settings, tmp_path)


def test_a_wrong_preprocessor_config_is_named(tmp_path: Path) -> None:
    settings = reference(tmp_path, image_mean="gray")
    with pytest.raises(UsageError, match=r"preprocessor_config.json: image_mean: "):
        evaluated(settings, tmp_path)
