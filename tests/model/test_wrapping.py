"""Checkpoints as people have them: what stands around the weights is told by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.model.checkpoint import load_into, whole_state
from pipeline.model.wrapping import input_advice, load_advice, wrapping
from pipeline.training.trained import load_trained

NAMES = ("swapnet.teacher.vit.blocks.0.0.module.bias", "swapnet.student.classifier.weight")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("swapnet.", "module.swapnet.", "'module.' (DataParallel or DistributedDataParallel)"),
        ("swapnet.", "_orig_mod.swapnet.", "'_orig_mod.' (torch.compile)"),
        ("swapnet.", "_orig_mod.module.swapnet.", "'_orig_mod.module.' (torch.compile, DataPar"),
        ("swapnet.", "state_dict.model.swapnet.", "'state_dict.model.' (a table"),
        ("swapnet.", "distiller.swapnet.", "'distiller.' (a module around the network)"),
        ("swapnet.", "swapnet._orig_mod.", "'_orig_mod.' (torch.compile)"),
        ("swapnet.teacher.", "swapnet.teacher.module.", "'module.' (DataParallel"),
        ("swapnet.teacher.", "module.swapnet.teacher._orig_mod.", "'module.' (Data"),
    ],
)
def test_what_stands_around_names_is_told_and_the_code_strips_it(
    old: str, new: str, said: str
) -> None:
    wrapped = [name.replace(old, new) for name in NAMES]
    found = wrapping(wrapped, set(NAMES))
    assert found is not None
    assert said in str(found)
    assert found.example in wrapped
    assert [eval(found.code, {"k": name}) for name in wrapped] == list(NAMES)


def test_names_that_are_wanted_or_of_something_else_have_nothing_around_them() -> None:
    assert wrapping(NAMES, set(NAMES)) is None
    assert wrapping(["module.other.weight", "weight"], set(NAMES)) is None


def advice(weights: dict[str, object]) -> str | None:
    try:
        nn.Sequential(nn.Linear(2, 2)).load_state_dict(weights)
    except RuntimeError as error:
        return load_advice(str(error))
    return None


def test_what_load_state_dict_says_of_prefixes_and_tables_is_explained() -> None:
    state = nn.Sequential(nn.Linear(2, 2)).state_dict()
    said = advice({f"module.{name}": tensor for name, tensor in state.items()})
    assert said is not None
    assert "'module.' (DataParallel or DistributedDataParallel)" in said
    assert "k.removeprefix('module.')" in said
    said = advice({"state_dict": state, "epoch": 3})
    assert said is not None
    assert "holds the weights under 'state_dict'" in said
    assert advice({"0.weight": state["0.weight"]}) is None


class Plain:
    """Nothing that torch reads back by itself."""


def test_what_libraries_say_of_other_files_is_known(tmp_path: Path) -> None:
    torch.save(Plain(), tmp_path / "whole.pt")
    with pytest.raises(pickle.UnpicklingError) as whole:
        torch.load(tmp_path / "whole.pt", weights_only=True)
    assert "holds more than tensors" in str(load_advice(str(whole.value)))
    (tmp_path / "model.safetensors").write_bytes(b"no such file " * 9)
    with pytest.raises(SafetensorError) as other:
        load_file(tmp_path / "model.safetensors")
    assert "no safetensors file" in str(load_advice(str(other.value)))


def test_a_checkpoint_with_a_prefix_is_refused_with_the_prefix() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    tensors = {f"_orig_mod.{name}": tensor for name, tensor in module.state_dict().items()}
    with pytest.raises(IntegrityError, match=r"'_orig_mod\.' \(torch\.compile\)") as caught:
        load_into(module, tensors, Path("model.safetensors"))
    assert "k.removeprefix('_orig_mod.')" in caught.value.remedy


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        raise AssertionError("unpickled")


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "model.safetensors"])
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_is_told_as_one_and_never_read(name: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if how == "torch":
        torch.save({"state_dict": {"w": torch.zeros(1)}}, path)
    else:
        path.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(UsageError, match=r"is a file of torch\.save or pickle") as caught:
        load_trained(path)
    assert "weights_only=True" in caught.value.remedy


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(2), persistent=False)
        self.weight = nn.Parameter(torch.zeros(2))


def test_buffers_that_are_not_persistent_go_with_a_checkpoint() -> None:
    one, other = nn.Sequential(Counting()), nn.Sequential(Counting())
    one[0].seen += 3
    assert "0.seen" not in one.state_dict()
    load_into(other, whole_state(one), Path("model.safetensors"))
    assert torch.equal(other[0].seen, torch.full((2,), 3.0))
    load_into(other, one.state_dict(), Path("model.safetensors"))  # as older files are
    extra = whole_state(one) | {"not persistent 7.seen": torch.zeros(2)}
    with pytest.raises(IntegrityError, match=r"left over 7\.seen"):
        load_into(other, extra, Path("model.safetensors"))


def test_images_of_another_number_of_channels_are_told_with_what_helps() -> None:
    with pytest.raises(RuntimeError) as failed:
        nn.Conv2d(3, 4, 3)(torch.zeros(2, 1, 8, 8))
    assert "channels = 3 in [data]" in str(input_advice(str(failed.value)))
    with pytest.raises(RuntimeError) as failed:
        nn.Conv2d(8, 4, 3)(torch.zeros(2, 4, 8, 8))  # inside of a network
    assert input_advice(str(failed.value)) is None
