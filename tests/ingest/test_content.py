"""A user's model is named by all that decides what it computes, wherever that is kept."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.ingest.intake import own_model
from pipeline.lowering.capture import capture
from pipeline.lowering.store import content_key
from pipeline.model.content import content_of
from pipeline.model.opened import OpenedModel
from pipeline.settings import Settings, SourceModel
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.schedule_model import scheduled_model
from tests.fixtures import settings_from
from tests.said_lines import SaidLines
from tests.workflows.test_build_bundle import Titles

#: A network that comes trained, with a table of ten offsets that is no part of its state dict.
MODEL = """
import functools, os
import numpy as np
import torch
from torch import nn
from pipeline.ingest.python import OwnModel

FILE = FOLDER + "/table.npy"
def read(): return torch.from_numpy(np.load(FILE)).float()

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(4, 10)
        self.keep()
    def keep(self):
        pass
    def table(self):
        return self.offsets
    def forward(self, x):
        return self.linear(self.pool(x).flatten(1)) + FACTOR * self.table()

class Net(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.embedder = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())])
        self.classifier = head()

def model():
    return OwnModel(Net(Kept), Net(Kept), image_shape=(1, 8, 8))
"""

#: How people keep such a table.
KEPT = {
    "buffer": "def keep(self): self.register_buffer('offsets', read(), persistent=False)",
    "attribute": "def keep(self): self.offsets = read()",
    "array": "def keep(self): self.offsets = np.load(FILE).astype('float32')\n"
    "    def table(self): return torch.from_numpy(self.offsets)",
    "list of tensors": "def keep(self): self.offsets = [torch.zeros(1), read()]\n"
    "    def table(self): return self.offsets[1]",
    "dictionary": "def keep(self): self.offsets = {'a': (read(),)}\n"
    "    def table(self): return self.offsets['a'][0]",
    "list of numbers": "def keep(self): self.offsets = read().tolist()\n"
    "    def table(self): return torch.tensor(self.offsets)",
    "closure": "def keep(self):\n        t = read()\n        self.give = lambda: t\n"
    "    def table(self): return self.give()",
    "partial": "def keep(self): self.give = functools.partial(torch.neg, read())\n"
    "    def table(self): return -self.give()",
    "bound method of a tensor": "def keep(self): self.give = read().mul\n"
    "    def table(self): return self.give(1.0)",
    "bound method of a dictionary": "def keep(self): self.give = {'a': read()}.get\n"
    "    def table(self): return self.give('a')",
    "class attribute": "offsets = read()",
    "default": "def table(self, t=read()): return t",
    "global": "def table(self): return TABLE",
    "global in a dictionary": "def table(self): return TABLES['a']",
    "cached function": "def table(self): return cached()",
    "imported": "def table(self): return imported.TABLE",
    "object": "def keep(self): self.holder = Holder()\n    def table(self): return self.holder.t",
    "hook": "def keep(self):\n        t = read()\n        self.offsets = torch.zeros(10)\n"
    "        self.register_forward_hook(lambda m, x, y: y + FACTOR * t)",
}

MORE = """
import importlib.util
_spec = importlib.util.spec_from_file_location("imported", FOLDER + "/imported.py")
imported = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(imported)
TABLE = read()
TABLES = {"a": read()}
class Holder:
    __slots__ = ("t",)
    def __init__(self): self.t = read()
@functools.cache
def cached(): return TABLES["a"]
class Kept(Head):
    """

#: What no look at the modules could tell.
LAZY = {
    "read while it runs": "def table(self): return read()",
    "from the environment": "def table(self): return float(os.environ['TABLE'])",
}


def write(folder: Path, kept: str, factor: float = 1.0) -> SourceModel:
    (folder / "imported.py").write_text(
        f"import numpy, torch\nTABLE = torch.from_numpy(numpy.load('{folder}/table.npy')).float()\n"
    )
    head = f"FOLDER = {str(folder)!r}\nFACTOR = {factor}\n"
    (folder / "mine.py").write_text(head + MODEL + MORE + kept + "\n")
    return SourceModel(source=f"python:{folder}/mine.py:model")


def set_table(folder: Path, favored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.zeros(10)
    table[favored] = 50
    np.save(folder / "table.npy", table)
    monkeypatch.setenv("TABLE", str(favored))


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_a_table_names_the_model_wherever_it_is_kept(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for favored in (0, 0, 7):
        set_table(tmp_path, favored, monkeypatch)
        # The factor hides it from the answers to any image.
        source = write(tmp_path, kept, factor=0.0)
        keys.append(key_of(source))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("kept", LAZY.values(), ids=LAZY)
def test_what_is_read_while_a_block_runs_shows_in_its_answers(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for favored in (1, 1, 7):
        set_table(tmp_path, favored, monkeypatch)
        keys.append(key_of(write(tmp_path, kept)))
    assert keys[0] == keys[1] != keys[2]


@torch.no_grad()
@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_a_table_is_in_what_is_lowered_and_in_what_a_worker_process_is_given(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, features = [], torch.randn(2, 4, 8, 8)
    for favored in (0, 7):
        set_table(tmp_path, favored, monkeypatch)
        head = opened(write(tmp_path, kept)).model.teacher.classifier
        captured = capture(head, features[:1], "head")
        sent = pickle.loads(pickle.dumps(captured))
        for module in (head, captured, sent):
            for item in features.split(1):
                assert (module(item).argmax(dim=1) == favored).all()
        keys.append(content_key(captured, features))
    assert keys[0] != keys[1]


def profile(folder: Path, kept: str) -> Settings:
    source = write(folder, kept)
    return settings_from(
        f'name = "t"\n[data]\nsource = "digits"\n[model]\nsource = "{source.source}"\n'
        "[bundle]\ngolden_images = 2\nevaluation_images = 20\n",
        folder,
    )


def test_another_table_is_evaluated_anew_and_an_equal_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for favored in (0, 7, 7):
        set_table(tmp_path, favored, monkeypatch)
        progress = Titles()
        settings = profile(tmp_path, KEPT["buffer"])
        found = scheduled_model(settings, tmp_path / "cache", progress).evaluated
        assert (found.predictions == favored).all()
        seen.append("evaluate" in progress.seen)
    assert seen == [True, True, False]


def test_a_build_asks_the_function_before_it_says_that_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, predicted = [], []
    for favored in (0, 7, 7):
        set_table(tmp_path, favored, monkeypatch)
        settings = profile(tmp_path, KEPT["attribute"])
        made = assemble(settings, tmp_path / "out", tmp_path / "cache", Silent(), jobs=1)
        fresh.append(made.rebuilt)
        path = made.bundle.root / made.bundle.manifest.evaluation.predictions.path
        predicted.append(set(np.fromfile(path, "<u2").tolist()))
    assert fresh == [True, True, False]
    assert predicted == [{0}, {7}, {7}]


def key_of(source: SourceModel, seed: int = 0) -> str:
    return own_model(source, seed, None, Silent())[1].key


def opened(source: SourceModel) -> OpenedModel:
    return own_model(source, 0, None, Silent())[0]


def refusal(source: SourceModel) -> str:
    with pytest.raises(UsageError) as caught:
        own_model(source, 0, None, Silent())
    assert caught.value.remedy
    return caught.value.what


@pytest.mark.parametrize(
    ("kept", "place"),
    [
        ("def keep(self): self.offsets = torch.from_numpy(np.random.default_rng().normal(size=10))"
         ".float()", "teacher.classifier.offsets"),
        ("def keep(self): self.offsets = torch.rand(10, generator=RNG)", "classifier.offsets"),
        ("def table(self): return float(os.urandom(1)[0]) * 1e-6", "teacher.classifier answers"),
    ],
    ids=["numpy's generator", "a generator of its own", "while it runs"],
)  # fmt: skip
def test_a_function_that_gives_another_model_at_each_call_is_refused(
    kept: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_table(tmp_path, 0, monkeypatch)
    seed = "import builtins, torch\nbuiltins.RNG = getattr(builtins, 'RNG', torch.Generator())\n"
    source = write(tmp_path, kept)
    (tmp_path / "mine.py").write_text(seed + (tmp_path / "mine.py").read_text())
    said = refusal(source)
    assert "gives another model each time it is called" in said
    assert place in said


@pytest.mark.parametrize("draw", ["np.random.rand(10)", "[random.random() for _ in range(10)]"])
def test_the_global_generators_are_seeded_by_the_profile(
    draw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_table(tmp_path, 0, monkeypatch)
    source = write(tmp_path, f"def keep(self):\n        import random\n"
                             f"        self.offsets = torch.tensor({draw}).float()")  # fmt: skip
    before = np.random.get_state()[1].tolist()
    first, again, other = (key_of(source, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert np.random.get_state()[1].tolist() == before


def test_what_changes_at_every_call_and_means_nothing_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_table(tmp_path, 0, monkeypatch)
    kept = "def keep(self):\n        self.offsets, self.made = read(), os.urandom(8).hex()"
    progress = SaidLines()
    source = write(tmp_path, kept)
    _, content = own_model(source, 0, None, progress)
    assert content.key == key_of(source)
    (line,) = progress.lines
    assert "student.classifier.made, teacher.classifier.made change at every call" in line


def test_code_that_was_edited_within_a_second_is_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's cache of bytecode tells texts apart by their seconds and lengths alone."""
    set_table(tmp_path, 0, monkeypatch)
    answers = []
    for number in (3, 4):
        source = write(tmp_path, f"def table(self): return {number}")
        head = opened(source).model.teacher.classifier
        answers.append(head(torch.zeros(1, 4, 8, 8)))
    assert torch.allclose(answers[1] - answers[0], torch.ones(1, 10), atol=1e-5)


class Odd(nn.Module):
    def __init__(self, *parts: object) -> None:
        super().__init__()
        self.parts = parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(2, 2), torch.zeros(4)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(3, dtype=torch.bfloat16), torch.ones(3, dtype=torch.bfloat16)),
        (torch.tensor(1 + 2j).conj(), torch.tensor(1 + 2j)),
        (torch.eye(3).to_sparse(), torch.zeros(3, 3).to_sparse()),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (np.array([{"a": 1}], dtype=object), np.array([{"a": 2}], dtype=object)),
        ({"a": {1, 2}}, {"a": {1, 3}}),
        (lambda x: x + 1, lambda x: x + 2),
        (1.0, 1),
        (True, 1),
        (nn.ReLU, nn.GELU),
        (torch.jit.script(nn.ReLU()), torch.jit.script(nn.Sigmoid())),
        (range(3), range(4)),
        (bytearray(b"a"), bytearray(b"b")),
        (memoryview(b"a"), memoryview(b"b")),
        (MappingProxyType({"a": 1}), MappingProxyType({"a": 2})),
        ([1].count, [2].count),
    ],
)
def test_things_that_differ_have_different_contents(one: object, other: object) -> None:
    assert content_of({"m": Odd(one)}).key != content_of({"m": Odd(other)}).key
    assert content_of({"m": Odd(one)}).key == content_of({"m": Odd(one)}).key


def test_what_refers_to_itself_or_cannot_be_read_has_a_content() -> None:
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    odd = Odd(loop, deep, (n for n in range(3)), Path(__file__).open(), Tensor)  # noqa: SIM115
    odd.parts = (*odd.parts, odd)
    assert content_of({"m": odd}).key
