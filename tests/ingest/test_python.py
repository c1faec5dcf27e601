"""Models of the user's own as a source: written into a file here, as a user would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from pipeline.bundle.verify import Bundle
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.core.work import Work
from pipeline.evaluate import evaluate
from pipeline.ingest.intake import own_model
from pipeline.lowering.capture import capture
from pipeline.lowering.registry import backend_for
from pipeline.model.content import Content
from pipeline.model.route import Route
from pipeline.settings import LoweringSettings, SourceModel, for_backend
from pipeline.train import train
from pipeline.training.trained import load_trained
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.load_model import model_of, open_model
from pipeline.workflows.lowering_targets import preflight_of
from pipeline.workflows.schedule_model import schedule, scheduled_model
from tests.fixtures import ROOT, settings_from
from tests.workflows.test_build_bundle import DISTILLED, Titles

#: Three blocks, other widths in teacher and student, other embedders; what mobile networks do.
MODEL = """
import torch
from torch import nn
from pipeline.ingest.python import OwnModel

def layer(source, target, stride=1, groups=1):
    convolution = nn.Conv2d(source, target, 3, stride, 1, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(target), nn.ReLU6(inplace=True))

class Net(nn.Module):
    def __init__(self, embedded, widths, head=10):
        super().__init__()
        self.embedder = layer(1, embedded)
        sources = (embedded, *widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(s, t, 1), layer(t, t, stride, groups=t))
            for s, t, stride in zip(sources, widths, (1, 2, 2))
        )
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1], head)
        )

def pair():
    return Net(8, (8, 12, 16)), Net(3, (4, 12, 8))

def model():
    return OwnModel(*pair(), image_shape=(1, 8, 8))
"""

PROFILE = """
name = "own-tiny"
[data]
source = "digits"
test_images = 1000
[model]
source = "python:FILE:model"
[schedule]
stages = "all"
[bundle]
golden_images = 3
evaluation_images = 40
"""

TRAINING = """
[training]
threads = 1
[training.teacher]
epochs = 4
batch_size = 32
learning_rate = 0.1
[training.distillation]
recipe = "joint"
epochs = 2
"""

TEACHER = "[training.teacher]\nepochs = 4\nbatch_size = 32\nlearning_rate = 0.1\n"

#: What a user adds who has trained weights: everything random, but for the seed.
TRAINED = """
def model():
    teacher, student = pair()
    encoders = [nn.Conv2d(8, 4, 1), None]
    for module in (teacher, student):
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 1.5)
    return OwnModel(teacher, student, (1, 8, 8), encoders)
"""


class Notes(Silent):
    """Keeps what is said of every step."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Notes]:
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.notes.append(note)


def write(folder: Path, extra: str = "", training: str = "", name: str = "mine.py") -> Path:
    """A model's file and the profile that names it; the profile's path."""
    (folder / name).write_text(MODEL + extra)
    profile = folder / "own.toml"
    profile.write_text(PROFILE.replace("FILE", str(folder / name)) + training)
    return profile


def read(folder: Path, extra: str = "", training: str = "") -> tuple[Any, Content]:
    settings = settings_from(write(folder, extra, training).read_text(), folder)
    assert isinstance(settings.model, SourceModel)
    return own_model(settings.model, settings.seed, settings.training, Silent())


def taken(folder: Path, extra: str = "", training: str = "") -> Any:
    return read(folder, extra, training)[0]


def refusal(folder: Path, extra: str, training: str = "") -> str:
    with pytest.raises(UsageError) as caught:
        taken(folder, extra, training)
    assert caught.value.remedy
    assert caught.value.what.startswith(f"python:{folder}/mine.py:model")
    return caught.value.what


def run(command: Any, *words: object) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a model of one's own was trained by `pipeline.train`, with its cache."""
    folder = tmp_path_factory.mktemp("own")
    result = run(train, write(folder, training=TRAINING), "--cache", folder / "cache")
    assert result.exit_code == 0, result.stderr
    (folder / "said").write_text(result.stdout)
    return folder


def test_a_model_of_ones_own_is_trained_and_every_route_is_scored(trained_folder: Path) -> None:
    lines = [line.split() for line in (trained_folder / "said").read_text().splitlines()]
    routes = {words[0]: words[2] for words in lines if words and set(words[0]) <= {"S", "T"}}
    assert list(routes) == ["SSS", "TSS", "TTS", "TTT"]
    assert float(routes["TTT"].rstrip("%")) > 40  # a tenth is chance


def test_what_was_trained_is_not_trained_again(trained_folder: Path) -> None:
    settings = settings_from((trained_folder / "own.toml").read_text(), trained_folder)
    progress = Titles()
    scheduled_model(settings, trained_folder / "cache", progress)
    assert progress.seen == []


def test_an_edited_file_is_trained_anew(trained_folder: Path, tmp_path: Path) -> None:
    text = (trained_folder / "own.toml").read_text()
    before = set((trained_folder / "cache" / "training").glob("model-*"))
    original = (trained_folder / "mine.py").read_text()
    (trained_folder / "mine.py").write_text(original.replace("ReLU6(inplace=True)", "Hardswish()"))
    try:
        progress = Titles()
        scheduled_model(settings_from(text, tmp_path), trained_folder / "cache", progress)
    finally:
        (trained_folder / "mine.py").write_text(original)
    assert progress.seen == ["train teacher", *DISTILLED]
    assert len(set((trained_folder / "cache" / "training").glob("model-*")) - before) == 1


def test_converters_are_made_where_widths_differ_and_only_there(tmp_path: Path) -> None:
    model = taken(tmp_path, training=TRAINING).model
    assert isinstance(model.encoders[0], nn.Conv2d)
    assert model.encoders[0].weight.shape == (4, 8, 1, 1)
    assert isinstance(model.encoders[1], nn.Identity)


def test_a_checkpoint_of_ones_own_model_runs_no_code(trained_folder: Path) -> None:
    checkpoint = Path((trained_folder / "said").read_text().split("checkpoint: ")[1].strip())
    original = (trained_folder / "mine.py").read_text()
    (trained_folder / "mine.py").write_text("raise SystemError('executed')")
    try:
        with pytest.raises(UsageError, match="no checkpoint makes this program run code") as caught:
            load_trained(checkpoint)
    finally:
        (trained_folder / "mine.py").write_text(original)
    assert "profile" in caught.value.remedy


def test_evaluating_a_profile_writes_logits_of_plain_images(
    trained_folder: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 8, 1), np.uint8))
    result = run(
        *(evaluate, trained_folder / "own.toml", "--cache", trained_folder / "cache"),
        *("--inputs", tmp_path / "x.npy", "--logits", tmp_path / "y.npz", "--route", "TST"),
    )
    assert result.exit_code == 0, result.stderr
    with np.load(tmp_path / "y.npz") as found:
        assert sorted(found) == ["SSS", "TSS", "TST", "TTS", "TTT"]
        assert all(found[name].shape == (5, 10) for name in found)


def test_a_trained_model_is_evaluated_without_a_profile(tmp_path: Path) -> None:
    write(tmp_path, TRAINED)
    source = f"python:{tmp_path}/mine.py:model"
    images = torch.randn(4, 1, 8, 8)
    np.save(tmp_path / "x.npy", images.numpy())
    result = run(
        *(evaluate, source, "--inputs", tmp_path / "x.npy", "--logits", tmp_path / "y.npz"),
    )
    assert result.exit_code == 0, result.stderr
    model = open_model(source, Silent()).model
    with np.load(tmp_path / "y.npz") as found, torch.no_grad():
        for name in ("SSS", "TSS", "TTS", "TTT"):
            wanted = model(images, Route.parse(name)).numpy()
            assert np.allclose(found[name], wanted, atol=1e-5)
    assert not any(part.training for part in model.modules())


def test_plain_images_need_a_profile(tmp_path: Path) -> None:
    write(tmp_path, TRAINED)
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 8, 1), np.uint8))
    result = run(
        *(evaluate, f"python:{tmp_path}/mine.py:model"),
        *("--inputs", tmp_path / "x.npy", "--logits", tmp_path / "y.npz"),
    )
    assert result.exit_code == 2
    assert "this model takes float32 [n, 1, 8, 8] (normalized)" in result.stderr


def test_a_route_without_its_decoder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, TRAINED)
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 8, 8), np.float32))
    result = run(
        *(evaluate, f"python:{tmp_path}/mine.py:model", "--route", "STT"),
        *("--inputs", tmp_path / "x.npy", "--logits", tmp_path / "y.npz"),
    )
    assert result.exit_code == 2
    assert "gave no decoder behind block 0" in result.stderr


def test_a_trained_teacher_is_only_distilled_from(tmp_path: Path) -> None:
    settings = settings_from(
        write(tmp_path, TRAINED, TRAINING.replace(TEACHER, "")).read_text(), tmp_path
    )
    given = taken(tmp_path, TRAINED).model
    progress = Titles()
    model = scheduled_model(settings, tmp_path / "cache", progress).evaluated.model
    assert progress.seen == DISTILLED
    for name, tensor in given.teacher.state_dict().items():
        assert torch.equal(model.teacher.state_dict()[name], tensor), name
    assert not torch.equal(model.student.classifier[3].bias, given.student.classifier[3].bias)
    assert not torch.equal(model.encoders[0].weight, given.encoders[0].weight)


def test_other_weights_of_a_teacher_are_noticed(tmp_path: Path) -> None:
    """The function loads a file, whose content the text of the function does not tell."""
    loads = f"""
def model():
    from safetensors.torch import load_file
    teacher, student = pair()
    teacher.load_state_dict(load_file({str(tmp_path / "teacher.safetensors")!r}))
    return OwnModel(teacher, student, (1, 8, 8))
"""
    weights = taken(tmp_path, TRAINED).model.teacher.state_dict()
    profile = write(tmp_path, loads, TRAINING.replace(TEACHER, "")).read_text()
    seen = []
    for change in (0.0, 0.0, 1.0):
        shifted = {n: t + change if "classifier" in n else t for n, t in weights.items()}
        save_file(shifted, tmp_path / "teacher.safetensors")
        progress = Titles()
        scheduled_model(settings_from(profile, tmp_path), tmp_path / "cache", progress)
        seen.append(progress.seen)
    assert seen == [DISTILLED, [], DISTILLED]


def test_another_forward_of_an_imported_block_is_noticed(tmp_path: Path) -> None:
    """Neither the text of the function nor the modules' names and weights tell of it."""
    block = "from torch import nn\nclass Imported(nn.Sequential):\n    def forward(self, x):\n"
    body = "        return super().forward(x)"
    extra = f"""
def model():
    import importlib.util
    spec = importlib.util.spec_from_file_location("imported", {str(tmp_path / "imported.py")!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    teacher, student = pair()
    teacher.blocks[0] = module.Imported(*teacher.blocks[0])
    return OwnModel(teacher, student, (1, 8, 8))
"""
    names = []
    for end in ("", "", " * 2.0"):
        (tmp_path / "imported.py").write_text(block + body + end + "\n")
        names.append(read(tmp_path, extra, TRAINING)[1])
    assert names[0] == names[1] != names[2]


def test_the_function_is_called_with_the_profile_s_seed(tmp_path: Path) -> None:
    write(tmp_path)
    source = SourceModel(source=f"python:{tmp_path}/mine.py:model")
    training = settings_from((tmp_path / "own.toml").read_text() + TRAINING, tmp_path).training
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (own_model(source, seed, training, Silent())[1] for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.rand(3), expected)  # the caller's random numbers are left alone


@pytest.fixture(scope="module", params=["executorch", "litert"])
def bundle(request: pytest.FixtureRequest, trained_folder: Path) -> Bundle:
    settings = settings_from((trained_folder / "own.toml").read_text(), trained_folder)
    out = trained_folder / request.param
    cache = trained_folder / "cache"
    return assemble(for_backend(settings, request.param), out, cache, Silent(), jobs=1).bundle


def test_a_bundle_of_ones_own_model_agrees_with_pytorch(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.model.family == "python"
    assert [stage.route for stage in manifest.stages] == ["SSS", "TSS", "TTS", "TTT"]
    assert all(0 < stage.parity.max_rel < 1e-5 for stage in manifest.stages)
    assert {unit.id for unit in manifest.artifacts if unit.role == "encoder"} == {"encoder-0"}


#: The least that several processes can share: one block each.
SHORT = """
def model():
    return OwnModel(Net(8, (8,)), Net(3, (4,)), (1, 8, 8), encoders=[])
"""


def test_it_is_lowered_in_worker_processes_that_cannot_import_it(tmp_path: Path) -> None:
    settings = settings_from(write(tmp_path, SHORT).read_text(), tmp_path)
    made = assemble(settings, tmp_path / "out", tmp_path / "cache", Silent(), jobs=2)
    assert made.bundle.manifest.stages[-1].parity.max_rel < 1e-5


NET = "teacher, student = pair()\n"
RETURN = "\n    return OwnModel(teacher, student, (1, 8, 8))"


def spoilt(line: str) -> str:
    """A function whose pair of networks is changed by a line."""
    return f"\nimport copy\ndef model():\n    teacher, student = pair()\n    {line}{RETURN}\n"


class_ = """
class Odd(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.give = give
    def forward(self, features):
        return self.give(features)
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("student.blocks = student.blocks[:2]", "the teacher has 3 blocks and the student 2"),
        (
            "student.blocks[1][1][0].stride = (1, 1)",
            "block 1: teacher and student outputs [12, 4, 4] and [12, 8, 8] differ in more than "
            "the channels",
        ),
        (
            "student.classifier[3] = nn.Linear(8, 9)",
            "the teacher gives 10 logits and the student 9",
        ),
        ("del teacher.classifier[1:]", "the teacher's classifier returns [2, 16, 1, 1]"),
        ("del teacher.embedder", "the teacher (Net) has no embedder"),
        (
            "teacher = nn.DataParallel(teacher)",
            "the teacher (DataParallel) has no blocks, but what it wraps has",
        ),
        ("teacher.blocks = None", "the teacher (Net) has no blocks"),
        ("teacher.blocks = nn.ModuleList()", "the teacher has no list of blocks"),
        ("student = copy.copy(student); student.__dict__['blocks'] = [len]", "block 0 is builtin"),
        (
            "student.embedder = teacher.embedder",
            "are the same tensor or share memory, so training one",
        ),
        (
            "teacher.blocks[1].append(nn.Conv2d(12, 12, 1)); "
            "teacher.blocks[1].append(teacher.blocks[1][2])",
            "the teacher's blocks.1.3.weight and the teacher's blocks.1.2.weight are the same",
        ),
        ("teacher.half()", "is float16"),
        ("teacher.double()", "is float64"),
        ("student.to('meta')", "is on meta"),
        ("student.blocks[1] = Odd(lambda f: (f, f))", "student block 1 returns tuple"),
        ("student.blocks[1] = Odd(lambda f: f.long())", "student block 1 returns int64"),
        ("student.blocks[1] = Odd(lambda f: f.mean())", "student block 1 returns [] for 2 images"),
        ("student.blocks[1] = Odd(lambda f: f / 0)", "student block 1 returns values that are not"),
        (
            "student.blocks[1].append(Odd(lambda f: f + 0 * torch.empty_like(f)))",
            "student block 1 returns values that are not finite",
        ),
        (
            "teacher.blocks[1].insert(0, nn.ReLU(inplace=True))",
            "block 1 changes its input in place",
        ),
        (
            "teacher.blocks[1][1][1].track_running_stats = False; "
            "teacher.blocks[1][1][1].running_mean = teacher.blocks[1][1][1].running_var = None",
            "teacher block 1 gives an image alone another answer than in a batch",
        ),
        (
            "student.blocks[1].append(Odd(lambda f: torch.dropout(f, 0.5, True)))",
            "student block 1 gives an image alone another answer",
        ),
        (
            "student.blocks[1] = nn.LazyConv2d(4, 1)",
            "the student's blocks.1.weight has no shape before it is run for the first time",
        ),
        ("teacher.forward = 3; teacher.blocks[1] = Odd(lambda f: 1 // 0)", "ZeroDivisionError"),
        (
            "student.blocks[1] = nn.Conv2d(5, 5, 1)",
            "student block 1, given [2, 4, 8, 8], failed: RuntimeError",
        ),
        ("student.requires_grad_(False)", "the student is to be trained, but all of it is frozen"),
        ("teacher.requires_grad_(False)", "the teacher is to be trained, but all of it is frozen"),
        (
            "student.blocks[1].append(Odd(lambda f: f.relu().add_(1)))",
            "the student cannot be trained: one of the variables needed for gradient",
        ),
        (
            "student.blocks[1].append(Odd(lambda f: f if f.sum() > 0 else f + 1))",
            "student block 1 cannot be traced: TraceError",
        ),
        ("return 7", "gave int"),
        ("return OwnModel(teacher, student, (1, 0))", "image_shape is (1, 0)"),
        (
            "return OwnModel(teacher, student, (3, 8, 8))",
            "the teacher's embedder, given [2, 3, 8, 8], failed",
        ),
        ("return OwnModel(teacher, student, (1, 8, 8), [None])", "1 encoders for 3 blocks"),
        ("return OwnModel(teacher, student, (1, 8, 8), [4, None])", "encoders[0] is int"),
        (
            "return OwnModel(teacher, student, (1, 8, 8), [nn.Conv2d(8, 5, 1), None])",
            "encoder 0 turns [8, 8, 8] into [5, 8, 8], but block 1 takes [4, 8, 8]",
        ),
        ("raise KeyError('weights')", "the function failed: KeyError: 'weights'"),
        ("import sys; sys.exit(3)", "the function failed: SystemExit: 3"),
    ],
)
def test_what_does_not_fit_is_named(line: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, class_ + spoilt(line), TRAINING)


def test_an_error_in_the_user_s_code_is_shown_with_its_line(tmp_path: Path) -> None:
    said = refusal(
        tmp_path, "\ndef model():\n    return broken(3)\ndef broken(n):\n    return n.x\n"
    )
    assert "AttributeError: 'int' object has no attribute 'x'" in said
    line = (tmp_path / "mine.py").read_text().splitlines().index("    return n.x") + 1
    assert f"{tmp_path}/mine.py, line {line}, in broken: return n.x" in said


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model."])
def test_weights_with_a_prefix_are_told_with_the_remedy(prefix: str, tmp_path: Path) -> None:
    loads = f"""
def model():
    teacher, student = pair()
    weights = {{{prefix!r} + k: v for k, v in teacher.state_dict().items()}}
    teacher.load_state_dict(weights)
    return OwnModel(teacher, student, (1, 8, 8))
"""
    with pytest.raises(UsageError) as caught:
        taken(tmp_path, loads, TRAINING)
    assert f"{prefix!r} (" in caught.value.remedy
    assert f"k.removeprefix({prefix!r})" in caught.value.remedy


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_what_is_no_checkpoint_is_told_as_that(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(data)
    loads = f"""
def model():
    return torch.load({str(tmp_path / "weights.pt")!r})
"""
    with pytest.raises(UsageError) as caught:
        taken(tmp_path, loads, TRAINING)
    assert "what torch.save wrote, and was fetched whole" in caught.value.remedy


def test_a_file_that_is_no_python_is_named(tmp_path: Path) -> None:
    assert "SyntaxError" in refusal(tmp_path, "\ndef model(:")


def test_a_trained_model_needs_its_encoders(tmp_path: Path) -> None:
    said = refusal(tmp_path, "")
    assert (
        "behind block 0 the teacher's features are [8, 8, 8] and the student's [4, 8, 8], and "
        "there is no encoder" in said
    )


def test_a_forward_that_does_more_than_the_parts_is_refused(tmp_path: Path) -> None:
    extra = """
class More(Net):
    def forward(self, images):
        features = self.embedder(images)
        for block in self.blocks:
            features = block(features)
        return self.classifier(features * FACTOR)
def model():
    return OwnModel(More(8, (8, 12, 16)), Net(3, (4, 12, 8)), (1, 8, 8))
"""
    taken(tmp_path, extra.replace("FACTOR", "1.0"), TRAINING)
    said = refusal(tmp_path, extra.replace("FACTOR", "2.0"), TRAINING)
    assert "the teacher's own forward gives something else" in said


def test_a_block_may_change_in_place_what_only_it_reads(tmp_path: Path) -> None:
    """The embedder's features: both are one program."""
    taken(tmp_path, spoilt("teacher.blocks[0].insert(0, nn.ReLU(inplace=True))"), TRAINING)


def test_dropout_in_place_is_found_though_it_does_nothing_in_eval_mode(tmp_path: Path) -> None:
    line = "student.blocks[1].insert(0, nn.Dropout(0.5, inplace=True))"
    said = refusal(tmp_path, spoilt(line), TRAINING)
    assert "training student block 1 changes its input in place" in said


#: What training in training mode updates, kept in three ways.
KEEPS = """
class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        KEEP
    def forward(self, x):
        if self.training:
            self.mean = 0.5 * self.mean + x.detach().mean() + 1
        return x - self.mean

def model():
    teacher, student = pair()
    for network in (teacher, student):
        network.blocks[1].append(Mean())
    return OwnModel(teacher, student, (1, 8, 8))
"""


def trained_and_restored(folder: Path, extra: str) -> list[Any]:
    """What `extra` appends to the teacher's second block: trained, and then from the cache."""
    text = write(folder, extra, TRAINING.replace("= 4", "= 1")).read_text()
    settings = settings_from(text, folder)
    return [
        scheduled_model(settings, folder / "cache", Silent()).evaluated.model.teacher.blocks[1][2]
        for _ in range(2)
    ]


def test_what_training_keeps_in_a_buffer_outside_the_state_dict_is_restored(tmp_path: Path) -> None:
    keep = "self.register_buffer('mean', torch.zeros(1), persistent=False)"
    found = trained_and_restored(tmp_path, KEEPS.replace("KEEP", keep))
    assert torch.equal(found[0].mean, found[1].mean)
    assert found[0].mean > 1


TABLES = """
class Tables(nn.Module):
    def __init__(self):
        super().__init__()
        cos, sin = torch.rand(2, 12, 1, 1)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", SIN)
    def forward(self, x):
        return x * self.cos + self.sin

def model():
    teacher, student = pair()
    for network in (teacher, student):
        network.blocks[1].append(Tables())
    return OwnModel(teacher, student, (1, 8, 8))
"""


def test_buffers_may_be_parts_of_one_table(tmp_path: Path) -> None:
    found = trained_and_restored(tmp_path, TABLES.replace("SIN", "sin"))
    assert torch.equal(found[0].sin, found[1].sin)
    assert not torch.equal(found[0].sin, found[0].cos)


@pytest.mark.parametrize(
    ("sin", "said"),
    [
        ("cos[:]", "teacher's blocks.1.2.sin and the teacher's blocks.1.2.cos are the same tensor"),
        ("sin.to_sparse()", "teacher's blocks.1.2.sin is sparse"),
    ],
)
def test_buffers_that_cannot_be_kept_apart_or_at_all_are_refused(
    sin: str, said: str, tmp_path: Path
) -> None:
    assert said in refusal(tmp_path, TABLES.replace("SIN", sin))


EXPANDED = """
class Gain(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("gain", torch.rand(4, 1).expand(4, 4).t())
        self.shift = nn.Parameter(torch.rand(1).expand(4, 4))
    def forward(self, x):
        return x * self.gain + self.shift

def model():
    teacher, student = pair()
    for network in (teacher, student):
        network.blocks[1].append(Gain())
    return OwnModel(teacher, student, (1, 8, 8))
"""


def test_what_is_expanded_is_trained_and_restored(tmp_path: Path) -> None:
    found = trained_and_restored(tmp_path, EXPANDED)
    assert torch.equal(found[0].gain, found[1].gain)
    assert torch.equal(found[0].shift, found[1].shift)


def test_what_training_keeps_in_a_plain_attribute_is_refused(tmp_path: Path) -> None:
    keep = "self.mean = torch.zeros(1)"
    text = write(tmp_path, KEEPS.replace("KEEP", keep), TRAINING.replace("= 4", "= 1")).read_text()
    settings = settings_from(text, tmp_path)
    with pytest.raises(UsageError, match=r"training changes something of teacher\.blocks\.1"):
        scheduled_model(settings, tmp_path / "cache", Silent())
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_looking_at_a_model_leaves_its_statistics_alone(tmp_path: Path) -> None:
    model = taken(tmp_path, training=TRAINING).model
    norm = model.teacher.blocks[0][1][1]
    assert norm.running_mean.abs().max() == 0
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("(1, 8, 8)", "(1, 16, 16)", "is made for inputs [1, 16, 16], the data has [1, 8, 8]"),
        ("head=10", "head=7", "the classifiers give 7 logits, the data has 10 labels"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(
    right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    profile = write(tmp_path, training=TRAINING)
    path = tmp_path / "mine.py"
    path.write_text(path.read_text().replace(right, wrong))
    result = run(train, profile, "--cache", tmp_path / "cache")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "cache").exists()


def test_a_model_that_comes_trained_is_not_trained(tmp_path: Path) -> None:
    result = run(train, write(tmp_path, TRAINED), "--cache", tmp_path / "cache")
    assert result.exit_code == 2
    assert "comes from elsewhere and is not trained here" in result.stderr


def test_the_example_of_the_documentation_is_trained_and_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs" / "own-model.toml").read_text()
    text = re.sub(r"epochs = \d+", "epochs = 1", text)
    settings = settings_from(text, tmp_path)
    assert settings.lowering.backend == ("executorch", "litert")
    # All units are lowered, and compared, before the model is trained.
    tried = Notes()
    check = preflight_of(settings, ["litert"], Work(tmp_path, tried, jobs=1))
    scheduled = schedule(settings, model_of(settings, tmp_path, Silent(), None, check))
    assert str(scheduled.evaluated.routes[-1]) == "TTT"
    for unit in ("teacher-0", "teacher-2", "student-2", "encoder-0", "arm teacher"):
        assert f"{unit} can be lowered (litert)" in tried.notes
    # The other backend takes five times as long for a unit: all that there is in two of them.
    model, images = scheduled.evaluated.model, torch.rand(2, 1, 16, 16)
    target = backend_for(LoweringSettings(backend=("executorch",)))
    for chain in (model.units(Route.parse(route)) for route in ("SSS", "TTT")):
        whole = nn.Sequential(*map(model.unit, chain)).eval()
        program = target.lower(capture(whole, images[:1], "whole"), images[:1], "whole")
        found, expected = target.run([program.data], images), whole(images)
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_family_needs_its_teacher_trained(tmp_path: Path) -> None:
    text = (ROOT / "profiles" / "digits-resnet.toml").read_text()
    start, end = text.index("[training.teacher]"), text.index("[training.distillation]")
    with pytest.raises(UsageError, match=r"training\.teacher: field required"):
        settings_from(text[:start] + text[end:], tmp_path)
