"""A teacher's last layer is drawn anew, for the labels of the data, and trained alone at first."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.core.work import Work
from pipeline.ingest.new_head import with_new_head
from pipeline.ingest.probe import probe_images
from pipeline.ingest.python import OwnModel
from pipeline.settings import Settings
from pipeline.workflows.inspect_networks import inspect_networks
from pipeline.workflows.model_source import ModelSource
from pipeline.workflows.profile_settings import profile_settings
from pipeline.workflows.schedule_model import scheduled_model
from tests.ingest.test_zoo import MINE, OWN, PROFILE, profile
from tests.ingest.zoo_models import saved, small_resnet
from tests.workflows.test_build_bundle import DISTILLED, Titles

SHAPE = (3, 8, 8)
IMAGES = probe_images(SHAPE)
NEW_HEAD = 'teacher = { head = "replace" }\nstudent'
TUNED = "[training.teacher]\nepochs = 4\nhead_epochs = 1\nbatch_size = 8\n\n[schedule]"


def body() -> list[nn.Module]:
    return [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()]


class TwoHeads(nn.Module):
    """As DeiT: two heads, whose logits are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*body(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.one, self.other = nn.Linear(4, 7), nn.Linear(4, 7, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.body(images)
        return (self.one(features) + self.other(features)) / 2


class Reshaped(nn.Module):
    """Counts on its seven logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*body(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.end = nn.Linear(4, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.end(self.body(images)).reshape(-1, 7)


def pooled(*end: nn.Module) -> nn.Sequential:
    return nn.Sequential(*body(), *end)


@pytest.mark.parametrize(
    ("network", "renewed"),
    [
        (pooled(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7)), {"5"}),
        (pooled(nn.Conv2d(4, 7, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), {"3"}),
        (TwoHeads(), {"one", "other"}),
    ],
    ids=["linear", "convolution", "two heads"],
)
def test_the_last_layer_gives_a_logit_for_each_label(network: nn.Module, renewed: set[str]) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    given = with_new_head("mine", OwnModel(network, None, SHAPE, labels=["a"] * 7), 5)
    assert given.teacher is network
    assert given.labels is None  # those were of the old head
    assert network(IMAGES).shape == (2, 5)
    changed = {
        name.rpartition(".")[0]
        for name, tensor in network.state_dict().items()
        if tensor.shape != before[name].shape or not torch.equal(tensor, before[name])
    }
    assert changed == renewed


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (pooled(nn.AdaptiveAvgPool2d(1), nn.Flatten()), "ends in none"),
        (pooled(nn.Conv2d(4, 7, 6), nn.Flatten()), "ends in none"),
        (Reshaped(), "with 5 logits of end"),
    ],
    ids=["no layer", "a convolution of many places", "a number in the code"],
)
def test_a_teacher_whose_head_cannot_be_renewed_is_refused(network: nn.Module, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        with_new_head("mine", OwnModel(network, None, SHAPE), 5)
    assert "source = python:FILE.py:FUNCTION" in caught.value.remedy


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile: a library's teacher of 12 labels for data of 10, a student of a function."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "mine.py").write_text(MINE)
    text = PROFILE.replace('{ from = "teacher", width = 0.5 }', OWN).replace("student", NEW_HEAD, 1)
    path = profile(folder, text.replace("[schedule]", TUNED))
    saved(small_resnet(), folder / "resnet", classes=12)
    return path


def test_its_head_is_trained_and_then_all_of_it(zoo: Path) -> None:
    settings, progress = profile_settings(zoo), Titles()
    came = ModelSource(settings, Silent()).model.teacher.state_dict()
    scheduled = scheduled_model(settings, zoo.parent / "cache", progress)
    assert progress.seen == ["train head", "train teacher", *DISTILLED]
    assert scheduled.evaluated.accuracy[-1].top1 > 0.2  # a tenth is chance
    assert [warning.kind for warning in scheduled.warnings(settings)].count("teacher") == 0
    tuned = scheduled.evaluated.model.teacher.state_dict()
    weights = [name for name in came if name.endswith("weight")]
    assert all(not torch.equal(came[name], tuned[name]) for name in weights)
    again = Titles()
    scheduled_model(settings, zoo.parent / "cache", again)
    assert again.seen == []


def with_epochs(settings: Settings, head: int) -> Settings:
    training = settings.training
    assert training is not None
    assert training.teacher is not None
    teacher = training.teacher.model_copy(update={"head_epochs": head})
    return settings.model_copy(
        update={"training": training.model_copy(update={"teacher": teacher})}
    )


def test_the_rest_stays_as_it_came_where_all_epochs_are_of_the_head(zoo: Path) -> None:
    settings = with_epochs(profile_settings(zoo), head=4)
    came = ModelSource(settings, Silent()).model.teacher.state_dict()
    tuned = scheduled_model(settings, zoo.parent / "cache", Silent()).evaluated.model.teacher
    changed = {
        name for name, tensor in tuned.state_dict().items() if not torch.equal(tensor, came[name])
    }
    assert {name.rpartition(".")[2] for name in changed} == {"weight", "bias"}
    assert len({name.rpartition(".")[0] for name in changed}) == 1  # its head, of all layers


def test_an_untrained_head_is_warned_of(zoo: Path) -> None:
    settings = profile_settings(zoo)
    assert settings.training is not None
    training = settings.training.model_copy(update={"teacher": None})
    settings = settings.model_copy(update={"training": training})
    scheduled = scheduled_model(settings, zoo.parent / "cache", Silent())
    (first, *_) = scheduled.warnings(settings)
    assert first.kind == "teacher"
    assert "was replaced and not trained" in first.text


def test_cuts_are_shown_of_the_network_with_its_new_head(zoo: Path, tmp_path: Path) -> None:
    teacher, _ = inspect_networks(str(zoo), None, (), Work(tmp_path, Silent()))
    ours = ModelSource(profile_settings(zoo), Silent()).model.teacher
    shown = sum(part.parameters for part in teacher.cuts.parts)
    assert shown == sum(parameter.numel() for parameter in ours.parameters())


def test_labels_that_do_not_fit_have_the_new_head_as_a_remedy(zoo: Path, tmp_path: Path) -> None:
    text = zoo.read_text().replace(NEW_HEAD, "student")
    path = profile(tmp_path, text)
    (tmp_path / "mine.py").write_text(MINE.replace("8, 10", "8, 12"))
    saved(small_resnet(), tmp_path / "resnet", classes=12)
    with pytest.raises(UsageError, match="12 logits, the data has 10 labels") as caught:
        _ = ModelSource(profile_settings(path), Silent()).model
    assert 'teacher = { head = "replace" }' in caught.value.remedy


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('head = "replace"', 'head = "renew"', "teacher.head"),
        ("head_epochs = 1", "head_epochs = 5", "head_epochs 5 is more than epochs 4"),
        ('"transformers:resnet"', '"reference:resnet"', "only for networks of python, timm"),
    ],
)
def test_wrong_words_are_refused(zoo: Path, before: str, after: str, said: str) -> None:
    path = zoo.with_name("wrong.toml")
    path.write_text(zoo.read_text().replace(before, after))
    with pytest.raises(UsageError, match=said):
        profile_settings(path)
