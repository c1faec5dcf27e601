"""Networks that read tokens, whatever form they come in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.ingest.intake import own_model
from pipeline.ingest.new_head import with_new_head
from pipeline.ingest.tokens import (
    Tokens,
    model_of_tokens,
    reading_tokens,
    require_vocabulary,
    vocabulary_of,
)
from pipeline.model.opened import OpenedModel
from pipeline.model.route import Route
from pipeline.settings import SourceModel
from pipeline.workflows.model_source import ModelSource
from tests.fixtures import settings_from
from tests.ingest.test_python import TRAINING

#: A network as people write it, and one in blocks; both are given int64 ``[n, 6]``.
TEXT = """
import torch
from torch import nn
from pipeline.ingest.python import OwnModel

class Text(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.words = nn.Embedding(20, width, padding_idx=0)
        self.places = nn.Parameter(torch.randn(6, width))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.head = nn.Linear(width, 3)

    def forward(self, tokens):
        x = self.words(tokens) + self.places
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x.mean(1))

class Blocks(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedder = nn.Embedding(20, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(6 * width, 3))

def whole():
    torch.manual_seed(4)
    return Text(8)

def model():
    return OwnModel(whole(), Text(4), (6,), split=["layers.0", "layers.1"], vocabulary=20)

def slim():
    return OwnModel(whole(), None, (6,), split=["layers.0", "layers.1"], vocabulary=20)

def blocks():
    return OwnModel(Blocks(8), Blocks(4), (6,), vocabulary=20)

def nothing_said():
    return OwnModel(Blocks(8), Blocks(4), (6,))

def nothing_said_and_cut():
    return OwnModel(whole(), Text(4), (6,), split="auto:2")

def wrong():
    return OwnModel(Blocks(8), Blocks(4), (6,), vocabulary="20")

def too_many():
    return OwnModel(Blocks(8), Blocks(4), (6,), vocabulary=2**24 + 1)
"""
SLIM = '\nstudent = { from = "teacher", width = 0.5 }'


def opened(function: str, folder: Path, student: str = "") -> OpenedModel:
    (folder / "text.py").write_text(TEXT)
    source = f"python:{folder / 'text.py'}:{function}"
    text = f'name = "mine"\ndata = {{ source = "digits" }}\n[model]\nsource = "{source}"{student}\n'
    settings = settings_from(text + TRAINING, folder)
    assert isinstance(settings.model, SourceModel)
    return own_model(settings.model, 1, settings.training, Silent())[0]


@pytest.mark.parametrize("function", ["model", "blocks", "slim"])
@torch.no_grad()
def test_a_network_reads_its_tokens_as_floats(function: str, tmp_path: Path) -> None:
    found = opened(function, tmp_path, SLIM if function == "slim" else "")
    tokens = torch.arange(12.0).reshape(2, 6)
    for route in ("SS", "TS", "TT"):
        assert found.model(tokens, Route.parse(route)).shape == (2, 3)
    changed = tokens.clone()
    changed[1, 2] = 19
    one, other = (found.model(each, Route.parse("TT")) for each in (tokens, changed))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    assert (found.spec.vocabulary, found.spec.channels) == (20, 6)


@torch.no_grad()
def test_a_teacher_answers_as_the_user_s_own_network(tmp_path: Path) -> None:
    found = opened("model", tmp_path)
    names: dict[str, Any] = {}
    exec(TEXT, names)
    network = names["whole"]()
    tokens = torch.randint(0, 20, (4, 6), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        found.model(tokens.float(), Route.parse("TT")), network.eval()(tokens)
    )


@torch.no_grad()
def test_the_head_of_a_network_of_tokens_is_replaced() -> None:
    names: dict[str, Any] = {}
    exec(TEXT, names)
    given = model_of_tokens("mine", names["slim"]())
    made = with_new_head("mine", given, 5)
    assert isinstance(made.teacher, nn.Module)
    assert made.teacher.eval()(torch.arange(12.0).reshape(2, 6)).shape == (2, 5)


def test_a_network_alone_knows_as_many_tokens_as_its_smallest_table(tmp_path: Path) -> None:
    (tmp_path / "text.py").write_text(TEXT)
    tokens = torch.randint(0, 19, (60, 6), generator=torch.Generator().manual_seed(2)).numpy()
    arrays = {"x_train": tokens[:40], "x_test": tokens[40:]}
    labels = {"y_train": np.arange(40) % 3, "y_test": np.arange(20) % 3}
    np.savez(tmp_path / "texts.npz", **arrays, **labels)
    source = f"python:{tmp_path / 'text.py'}:whole"
    data = f'data = {{ source = "npz", path = "{tmp_path / "texts.npz"}" }}'
    model = f'[model]\nsource = "{source}"\nsplit = ["layers.0", "layers.1"]{SLIM}\n'
    settings = settings_from(f'name = "mine"\n{data}\n{model}{TRAINING}', tmp_path)
    opened = ModelSource(settings, Silent()).model
    assert opened(torch.arange(12.0).reshape(2, 6), Route.parse("TS")).shape == (2, 3)
    assert vocabulary_of(opened.teacher, 19) == 20
    assert vocabulary_of(opened.teacher, 21) == 20


@pytest.mark.parametrize(
    ("rows", "known"), [((), 60), ((12, 80), 80), ((90, 80), 80), ((12, 50), 50)]
)
def test_tables_say_how_many_tokens_a_network_knows(rows: Sequence[int], known: int) -> None:
    network = nn.ModuleList(nn.Embedding(count, 2) for count in rows)
    assert vocabulary_of(network, 60) == known  # of 50, `require_vocabulary` says that 60 are more


def test_what_is_no_token_is_the_nearest_one() -> None:
    values = torch.tensor([-3.0, 0.0, 6.7, 7.0, 8.0, 1e9])
    found = Tokens(8)(values)
    assert found.dtype == torch.int64
    assert found.tolist() == [0, 0, 6, 7, 7, 7]


def test_a_network_that_reads_none_stays_as_it_is() -> None:
    network = nn.Linear(2, 2)
    assert reading_tokens(network, None) is network


@pytest.mark.parametrize(
    ("function", "what", "remedy"),
    [
        ("nothing_said", "embedder, given [2, 6], failed", "vocabulary=N) says how many there are"),
        ("nothing_said_and_cut", "the teacher, given [2, 6], failed", "vocabulary=N) says"),
        ("wrong", "vocabulary is '20'", "number of different tokens"),
        ("too_many", "vocabulary is 16777217", "2**24 at most"),
    ],
)
def test_a_vocabulary_is_a_number_and_has_to_be_there(
    function: str, what: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        opened(function, tmp_path)
    assert what in refused.value.what
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("model", "data", "what"),
    [
        (None, 20, "says nothing of a vocabulary"),
        (20, None, "reads tokens, and the data holds none"),
        (20, 21, "knows 20 tokens, the data has 21"),
    ],
)
def test_model_and_data_have_to_agree_on_tokens(
    model: int | None, data: int | None, what: str
) -> None:
    with pytest.raises(UsageError) as refused:
        require_vocabulary("mine", model, data)
    assert what in refused.value.what
    require_vocabulary("mine", 20, 20)
    require_vocabulary("mine", None, None)
