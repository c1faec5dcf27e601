"""Two processes on this machine, started by accelerate, against one at the same batch size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from pipeline.core import fingerprint
from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import machine_kind
from pipeline.core.progress import Silent
from pipeline.core.toml_file import load_toml
from pipeline.model.checkpoint import load_tensors
from pipeline.settings import Settings
from pipeline.training.processes import Processes, describe_processes, device_for, joined
from pipeline.training.shared_norm import shared_norms
from pipeline.workflows.load_model import trained_model
from pipeline.workflows.schedule_model import scheduled_model
from tests.fixtures import ROOT, TINY_PROFILE

pytestmark = pytest.mark.usefixtures("every_processor")

#: Short and slow to learn, so that rounding is not amplified; augmented, to share that out, too.
PROFILE = (
    TINY_PROFILE.replace("epochs = 3", "epochs = 2\nlearning_rate = 0.01\ngradient_norm = 5.0")
    + "[training.augmentation]\nflip = true\ncrop = 1\nrotation = 10\n"
)
LAUNCH = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
    *("--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"),
    *("--dynamo_backend", "no", "--main_process_port", "0"),
]
#: The first process dies when its first checkpoint is written.
DIES = """
from pipeline.training import fit
from pipeline.train import train
save = fit.save_epoch
def save_and_die(*arguments):
    save(*arguments)
    raise SystemExit(7)
fit.save_epoch = save_and_die
train()
"""


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def write_profile(folder: Path, recipe: str, **changes: str) -> Path:
    text = PROFILE.replace('"joint"', f'"{recipe}"')
    # 298 images for training: two processes can divide the last batch that `reference` keeps.
    text = text.replace("test_images = 1500", "test_images = 1499")
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "profile.toml").write_text(text)
    return folder / "profile.toml"


def weights(cache: Path) -> dict[str, Tensor]:
    (path,) = (cache / "training").glob("model-*.safetensors")
    return load_tensors(path)[0]


def in_two(profile: Path, cache: Path) -> dict[str, Tensor]:
    done = run(*LAUNCH, "-m", "pipeline.train", profile, "--cache", cache)
    assert done.returncode == 0, done.stderr
    # Else accelerate started one process, and whatever is compared agrees.
    assert done.stderr.count("training in 2 processes") == 1
    assert done.stdout.count("checkpoint: ") == 1
    return weights(cache)


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Tensor], dict[str, Tensor]]:
    """A profile, and what one process and two make of it."""
    folder = tmp_path_factory.mktemp(request.param)
    profile = write_profile(folder, request.param)
    scheduled_model(load_toml(profile, Settings), folder / "one", Silent())
    return profile, weights(folder / "one"), in_two(profile, folder / "two")


@pytest.mark.parametrize("both", ["joint", "reference"], indirect=True)
def test_two_processes_train_the_model_of_one(
    both: tuple[Path, dict[str, Tensor], dict[str, Tensor]],
) -> None:
    _, alone, together = both
    assert alone.keys() == together.keys()
    for name, tensor in alone.items():
        assert torch.allclose(tensor, together[name], rtol=0, atol=1e-4), name
    # Sums over two shares round differently: equal bits would mean that nothing was shared out.
    assert any(not torch.equal(tensor, together[name]) for name, tensor in alone.items())


@pytest.mark.parametrize("both", ["joint"], indirect=True)  # each launch takes seconds
def test_a_dying_process_ends_the_others_and_the_next_launch_goes_on(
    both: tuple[Path, dict[str, Tensor], dict[str, Tensor]], tmp_path: Path
) -> None:
    profile, _, together = both
    (tmp_path / "dies.py").write_text(DIES)
    cache = tmp_path / "cache"
    broken = run(*LAUNCH, tmp_path / "dies.py", profile, "--cache", cache)
    assert broken.returncode != 0
    assert "training in 2 processes" in broken.stderr
    assert [path.suffix for path in (cache / "training").iterdir()] == [".partial"]
    resumed = in_two(profile, cache)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in together.items())
    assert not list((cache / "training").glob("*.partial"))


def test_a_batch_that_cannot_be_divided_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    profile = write_profile(
        tmp_path, "joint", **{"gradient_norm": "batch_size = 33\ngradient_norm"}
    )
    settings, two = load_toml(profile, Settings), Processes(0, 2)
    with pytest.raises(UsageError, match="batch_size 33 cannot be divided among 2 processes"):
        trained_model(settings, tmp_path / "cache", Silent(), processes=two)
    assert not (tmp_path / "cache").exists()


def test_a_process_with_another_model_than_the_first_one_is_refused(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["model-0123456789abcdef.safetensors", "SSS", "TSS", "TTS", "TTT"]
    monkeypatch.setattr(Processes, "receive", lambda _: words)
    model = trained_model(tiny_settings, tmp_path, Silent(), processes=Processes(1, 2))
    with pytest.raises(UsageError, match="have different models or data"):
        model.follow()


def test_one_process_where_several_were_meant_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate launch --cpu starts one, whatever --num_processes says."""
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    assert describe_processes(Processes()) is None
    assert describe_processes(Processes(0, 2)) == "training in 2 processes"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert "accelerate started one process only" in (describe_processes(Processes()) or "")


def test_shares_cover_a_batch_once_and_in_order() -> None:
    batch = torch.arange(12)
    parts = [batch[Processes(rank, 3).share(12)] for rank in range(3)]
    assert torch.equal(torch.cat(parts), batch)
    assert {len(part) for part in parts} == {4}


def test_alone_nothing_is_exchanged_and_nothing_replaced() -> None:
    alone, module = Processes(), nn.Sequential(nn.BatchNorm2d(2))
    values = torch.tensor([1.0, 2.0])
    assert alone.mean(values) is values
    assert alone.agree(False, torch.device("cpu")) is False
    with shared_norms(module, alone):
        assert type(module[0]) is nn.BatchNorm2d


def test_shared_norms_keep_the_names_and_leave_the_module_as_it_was() -> None:
    module = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(3)))
    norm, before = module[0], list(module.state_dict())
    with shared_norms(module, Processes(0, 2)):
        assert module[0] is not norm
        assert list(module.state_dict()) == before
        assert module[0].weight is norm.weight
        module.eval()
    assert module[0] is norm
    assert not norm.training


class OwnNorm(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return input


@pytest.mark.parametrize(
    ("norm", "why"),
    [
        (nn.BatchNorm2d(2, affine=False), "no weights or no moving averages"),
        (nn.BatchNorm2d(2, momentum=None), "no weights or no moving averages"),
        (OwnNorm(2), "a forward of its own"),
    ],
)
def test_a_norm_that_cannot_be_shared_is_named_and_its_module_left_alone(
    norm: nn.Module, why: str
) -> None:
    module = nn.Sequential(nn.BatchNorm2d(2), norm)
    with pytest.raises(UsageError, match=why):
        shared_norms(module, Processes(0, 2)).__enter__()
    assert type(module[0]) is nn.BatchNorm2d
    assert module[1] is norm


def test_without_accelerate_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(UsageError, match="several processes need the package `accelerate`"):
        joined("cpu").__enter__()


def test_the_processor_is_used_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for("auto") == device_for("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="finds no GPU"):
        device_for("cuda")


def test_a_gpu_is_chosen_by_the_rank_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice alone; there is no GPU to train on here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert device_for("auto") == torch.device("cuda", 0)
    assert device_for("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device_for("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="process 2 on this machine has no GPU: there are 2"):
        device_for("cuda")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    with pytest.raises(UsageError, match="accelerate was told --cpu"):
        device_for("auto")


def test_a_gpu_is_part_of_the_kind_of_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(fingerprint, "_GRAPHICS", tmp_path)
    monkeypatch.setattr(fingerprint, "_NODES", ())
    plain = machine_kind()
    (tmp_path / "0000:01").mkdir()
    (tmp_path / "0000:01" / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 5\n")
    assert machine_kind() == f"{plain} NVIDIA-H100"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine_kind() == plain


def test_a_gpu_that_is_not_in_proc_is_asked_of_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def properties(index: int) -> SimpleNamespace:
        asked.append(index)
        return SimpleNamespace(name=("NVIDIA H100", "NVIDIA T4")[index])

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(fingerprint, "_GRAPHICS", tmp_path / "gpus")
    monkeypatch.setattr(fingerprint, "_NODES", (tmp_path / "dxg",))
    monkeypatch.setattr(fingerprint, "version", lambda _: "2.13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    plain = machine_kind()
    assert not asked
    (tmp_path / "dxg").touch()
    assert machine_kind() == f"{plain} NVIDIA-H100 NVIDIA-T4"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine_kind() == plain
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(fingerprint, "version", lambda _: "2.13.0+cpu")
    assert machine_kind() == plain
    assert asked == [0, 1]
