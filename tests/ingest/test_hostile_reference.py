"""Checkpoints of the reference implementation that are not what they should be."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.core.errors import IntegrityError, PipelineError, UsageError
from pipeline.core.progress import Silent
from pipeline.ingest.reference.checkpoint_folder import ReferenceCheckpoint
from pipeline.ingest.reference.reference_model import read_reference
from tests.ingest.reference_twin import write
from tests.ingest.test_reference import FAMILIES, pair


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Narrow checkpoints by family; read them only."""
    home = tmp_path_factory.mktemp("reference")
    return lambda family: (
        found
        if (found := home / family / "checkpoint-7").exists()
        else pair(family, narrow=True).save(found)
    )


@pytest.fixture
def copied(whole: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copies of them, to be damaged."""
    return lambda family: Path(
        shutil.copytree(whole(family), tmp_path / "checkpoint-7", dirs_exist_ok=True)
    )


def refusal(place: Path, kind: type[PipelineError] = IntegrityError) -> str:
    with pytest.raises(kind) as caught:
        read_reference(str(place), Silent())
    assert caught.value.remedy
    return caught.value.what


def change_config(folder: Path, role: str, **changes: Any) -> None:
    path = folder / f"{role}_config" / "config.json"
    table = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in table.items() if value != "gone"}))


@pytest.mark.parametrize("family", FAMILIES)
def test_any_missing_tensor_is_named(family: str, tmp_path: Path) -> None:
    # Three blocks of a transformer have a first, a middle and a last one, as six have.
    fewer = {"blocks": 3} if family == "vit" else {}
    folder = pair(family, narrow=True, **fewer).save(tmp_path / "checkpoint-7")
    tensors = load_file(folder / "model.safetensors")
    # The last of each kind: numbers are told by what is there, so the end is where they may slip.
    kinds = {re.sub(r"[0-9]+", "#", key): key for key in sorted(tensors)}
    for key in kinds.values():
        write(folder, {name: tensor for name, tensor in tensors.items() if name != key})
        assert key in refusal(folder), key


@pytest.mark.parametrize(
    "key",
    [
        "swapnet.teacher.{family}.blocks.0.9.extra",
        "swapnet.student.{family}.blocks.999999.0.layers.999999.weight",
        "swapnet.student.{family}.blocks.0.0.999999.weight",
        "swapnet.student.{family}.blocks.0.999999.module.weight",
        "swapnet.teacher.{family}.embedder.mask_token",
        "swapnet.teacher.classifier.5.bias",
        "swapnet.encoders.77.linear.weight",
        "swapnet.extra",
        "student.classifier.weight",
        "",
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_any_tensor_that_is_left_over_is_named(
    family: str, key: str, copied: Callable[[str], Path]
) -> None:
    folder, key = copied(family), key.format(family=family)
    write(folder, load_file(folder / "model.safetensors") | {key: torch.zeros(2, 2)})
    assert f"left over {key}" in refusal(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_layer_that_is_missing_is_named(family: str, copied: Callable[[str], Path]) -> None:
    folder = copied(family)
    tensors = load_file(folder / "model.safetensors")
    first = {"resnet": "0.layers.0.", "vgg": "0.0.", "vit": "0."}[family]
    start = f"swapnet.teacher.{family}.blocks.0.{first}"
    write(folder, {key: value for key, value in tensors.items() if not key.startswith(start)})
    assert f"missing {start}" in refusal(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tensor_of_another_shape_or_kind_is_named(
    family: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(family)
    tensors = load_file(folder / "model.safetensors")
    key = next(key for key in sorted(tensors) if key.startswith("swapnet.student.classifier"))
    for wrong in (torch.zeros(4), tensors[key].double(), tensors[key].to(torch.int8)):
        write(folder, tensors | {key: wrong})
        assert f"{key} is " in refusal(folder)
    write(folder, tensors | {key: tensors[key][:, None]})
    assert f"{key} is " in refusal(folder)
    tensors[key].view(-1)[0] = float("nan")
    write(folder, tensors)
    assert f"{key} holds values that are not finite" in refusal(folder)


def test_a_transposed_converter_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("resnet")
    tensors = load_file(folder / "model.safetensors")
    key = "swapnet.encoders.0.linear.weight"
    write(folder, tensors | {key: tensors[key].T})
    assert f"{key} is float32 [8, 4], not float32 [4, 8, 1, 1]" in refusal(folder)


def test_converters_of_equal_widths_are_left_over(copied: Callable[[str], Path]) -> None:
    folder = copied("vgg")  # whose second blocks have equal widths
    extra = {f"swapnet.{way}.1.linear.weight": torch.zeros(6, 6) for way in ("encoders",)}
    write(folder, load_file(folder / "model.safetensors") | extra)
    assert "left over swapnet.encoders.1.linear.weight" in refusal(folder)


def test_one_layer_in_the_other_layout_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("vit")
    tensors = load_file(folder / "model.safetensors")
    start = "swapnet.teacher.vit.blocks.0.0.module.attention"
    tensors[f"{start}.attention.query.weight"] = tensors.pop(f"{start}.q_proj.weight")
    write(folder, tensors)
    assert f"{start}.q_proj" in refusal(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_exchanged_configurations_are_noticed(family: str, copied: Callable[[str], Path]) -> None:
    folder = copied(family)
    (folder / "teacher_config").rename(folder / "other")
    (folder / "student_config").rename(folder / "teacher_config")
    (folder / "other").rename(folder / "student_config")
    with pytest.raises(IntegrityError) as caught:
        read_reference(str(folder), Silent())
    said = str(caught.value)
    assert "exchanged" in said or "left over" in said


@pytest.mark.parametrize(
    ("family", "change", "said"),
    [
        ("resnet", {"layer_type": "bottleneck"}, "layer_type: input should be 'basic'"),
        ("resnet", {"hidden_act": "gelu"}, "hidden_act: input should be 'relu' (got 'gelu')"),
        ("resnet", {"embedder_kernel_size": 4}, "embedder_kernel_size: input should be 1, 3, 5"),
        ("resnet", {"embedder_use_pooler": "yes"}, "embedder_use_pooler"),
        ("resnet", {"embedder_kernel_stride": 3}, "embedder_kernel_stride: input should be 1 or 2"),
        ("resnet", {"embedder_stride": 2}, "reads embedder_kernel_stride, which is 1 here"),
        ("resnet", {"layer_type": "gone"}, "layer_type (absent, so its default): input should be"),
        ("resnet", {"model_type": "block_vgg"}, "model_type: the tensors are those of a network"),
        ("vit", {"model_type": "resnet"}, "those of a network of the vit family"),
        ("resnet", {"quantization_config": {"bits": 8}}, "quantization_config: input should be"),
        ("vit", {"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ("vit", {"head_dim": 8}, "head_dim 8: only heads that share out hidden_size"),
        ("vit", {"num_hidden_layers": 6, "layers_per_block": 4}, "6 is no multiple of layers_per"),
        ("vit", {"layers_per_block": [1] * 6}, "layers_per_block"),
        ("vgg", {"pool_kernel": [2, 2]}, "pool_kernel"),
        ("vgg", {"pool_kernel": 0}, "pool_kernel"),
        ("vgg", {"pool_stride": "wide"}, "pool_stride"),
        ("vgg", {"depths": [1, 1]}, "depths has 2 entries, hidden_sizes 5"),
        ("resnet", {"depths": [1, 1]}, "depths has 2 entries, hidden_sizes 4"),
        ("resnet", {"depths": []}, "depths"),
        ("resnet", {"hidden_sizes": [10**18] * 4}, "hidden_sizes.0"),
        ("resnet", {"hidden_sizes": "many"}, "hidden_sizes"),
        ("resnet", {"id2label": {}}, "id2label"),
        ("resnet", {"id2label": {"0": "a", "2": "b"}}, "id2label: its keys should be 0 to 1"),
        ("resnet", {"id2label": ["a", "b"]}, "id2label"),
        ("vgg", {"hidden_act": "gelu"}, "hidden_act"),
        ("vit", {"hidden_act": "relu"}, "hidden_act: input should be 'gelu'"),
        ("vit", {"num_attention_heads": 5}, "cannot be shared out among num_attention_heads 5"),
        ("vit", {"num_attention_heads": 0}, "num_attention_heads"),
        ("vit", {"layer_norm_eps": -1}, "layer_norm_eps"),
        ("vit", {"layer_norm_eps": float("nan")}, "layer_norm_eps"),
        ("vit", {"image_size": 15}, "image_size 15x15 is no multiple of patch_size 4"),
        ("vit", {"patch_size": [4, 2]}, "only square patches"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named_with_its_key(
    family: str, change: dict[str, Any], said: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(family)
    change_config(folder, "student", **change)
    told = refusal(folder, UsageError)
    assert str(folder / "student_config" / "config.json") in told
    assert said in told


@pytest.mark.parametrize(
    ("family", "change", "said"),
    [
        ("resnet", {"depths": [60000] * 4}, "number of layers of each block is [60000,"),
        ("resnet", {"hidden_sizes": [65536] * 4}, "float32 [4, 6, 3, 3], not float32 [65536"),
        ("resnet", {"embedding_size": 7}, "embedder.convolution.weight is float32 [6"),
        ("vgg", {"hidden_sizes": [4, 4, 4, 4, 4]}, "hidden_sizes is [4, 4, 4, 4, 4], but"),
        ("vgg", {"depths": [60000] * 5}, "number of layers of each block is [60000,"),
        ("vgg", {"in_channels": 1}, "in_channels is 1, but"),
        ("vgg", {"hidden_sizes": "gone"}, "hidden_sizes (absent, so its default) is [64, 128,"),
        ("vit", {"image_size": 65536, "patch_size": 1}, "by image_size and patch_size, is 4294"),
        ("vit", {"num_hidden_layers": 60000}, "number of layers of each block is [1, 1, 1,"),
        (
            "vit",
            {"layers_per_block": 2, "num_hidden_layers": 12},
            "missing swapnet.student.vit.blocks.0.1.module",
        ),
        ("vit", {"qkv_bias": False}, "left over swapnet.student.vit.blocks.0.0.module"),
        ("vit", {"intermediate_size": 65536}, "mlp.fc1.bias is float32 [20], not float32 [65536]"),
    ],
)
def test_a_configuration_that_the_tensors_contradict_is_refused_before_anything_is_allocated(
    family: str, change: dict[str, Any], said: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(family)
    change_config(folder, "student", **change)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    ("family", "change", "said"),
    [
        ("resnet", {"embedder_kernel_stride": 2}, "differ in more than the channels"),
        (
            "vgg",
            {"pool_kernel": 3},
            "are 2 and 2 in the teacher, 3 and 2 in the student",
        ),
        ("vit", {"num_hidden_layers": 3}, "the teacher has 6 blocks and the student 3"),
        ("resnet", {"downsample_in_first_stage": True}, "differ in more than the channels"),
        ("resnet", {"num_channels": 1}, "teacher and student take different images"),
        ("resnet", {"id2label": {"0": "a", "1": "b"}}, "5 labels in teacher_config and 2 in"),
        (
            "vit",
            {"id2label": dict(zip("01234", "abdce", strict=True))},
            "student_config has the labels in another order: label 2 is 'd', and 'c' in",
        ),
        ("vit", {"image_size": [8, 32]}, "teacher and student take different images"),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(
    family: str, change: dict[str, Any], said: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(family)
    change_config(folder, "student", **change)
    assert said in refusal(folder, UsageError)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"depths": 1e999}']
)
def test_what_is_no_configuration_is_refused(data: bytes, copied: Callable[[str], Path]) -> None:
    folder = copied("resnet")
    path = folder / "teacher_config" / "config.json"
    path.write_bytes(data)
    assert str(path) in refusal(folder, UsageError)


@pytest.mark.parametrize("size", [0, 4, 300, 20_000])
def test_a_truncated_file_of_weights_is_refused(size: int, copied: Callable[[str], Path]) -> None:
    path = copied("resnet") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert f"{path}: not a whole safetensors file" in refusal(path.parent)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "holds no tensor at all"),
        ({"resnet.embedder.weight": torch.zeros(1)}, "holds resnet.embedder.weight"),
        ({"swapnet.teacher.resnet.x": torch.zeros(1)}, "holds swapnet.teacher.resnet"),
        (
            {"swapnet.teacher.vgg.x": torch.zeros(1), "swapnet.student.vit.x": torch.zeros(1)},
            "holds swapnet.student.vit and swapnet.teacher.vgg",
        ),
        (
            {"swapnet.teacher.vit.x": torch.zeros(1), "swapnet.student.vit.x": torch.zeros(1)},
            "the teacher has no blocks",
        ),
    ],
)
def test_weights_of_something_else_are_refused(
    tensors: dict[str, torch.Tensor], said: str, copied: Callable[[str], Path]
) -> None:
    folder = copied("vit")
    write(folder, tensors)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("swapnet.", "module.swapnet.", "'module.' (DataParallel or DistributedDataParallel)"),
        ("swapnet.", "_orig_mod.swapnet.", "'_orig_mod.' (torch.compile)"),
        ("swapnet.", "state_dict.model.swapnet.", "'state_dict.model.'"),
        ("swapnet.teacher.", "swapnet.teacher._orig_mod.", "'_orig_mod.' (torch.compile)"),
        ("swapnet.student.vit.", "swapnet.student.vit.module.", "'module.' (DataParallel"),
        ("swapnet.", "", "its keys do not begin with swapnet."),
    ],
)
def test_prefixes_of_wrappers_are_told_and_the_remedy_strips_them(
    old: str, new: str, said: str, copied: Callable[[str], Path]
) -> None:
    folder = copied("vit")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    write(folder, {name.replace(old, new): tensor for name, tensor in tensors.items()})
    with pytest.raises(UsageError) as caught:
        read_reference(str(folder), Silent())
    assert said in caught.value.what
    if new:
        code = caught.value.remedy.partition("save again: ")[2]
        exec(code)
        assert load_file(path).keys() == tensors.keys()


def test_a_family_that_is_not_read_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied("vgg")
    tensors = load_file(folder / "model.safetensors")
    write(folder, {name.replace(".vgg.", ".lenet5."): tensor for name, tensor in tensors.items()})
    assert "of the family lenet5, which is not read" in refusal(folder, UsageError)


@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin", "last.ckpt"])
def test_a_pickle_in_place_of_a_folder_is_told_as_one(name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / name)
    assert "is a file of torch.save or pickle" in refusal(tmp_path / name, UsageError)
    assert f"{name} and no model.safetensors" in refusal(tmp_path, UsageError)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_is_refused_and_never_read(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("resnet")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    said = refusal(folder, UsageError)
    assert "pytorch_model.bin" in said
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    refusal(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "teacher_config/config.json", "student_config/config.json"]
)
def test_a_missing_file_is_named(name: str, copied: Callable[[str], Path]) -> None:
    path = copied("resnet") / name
    path.unlink()
    assert f"{path}: no such file" in refusal(path.parents[name.count("/")], UsageError)


def test_weights_in_several_files_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("resnet")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    assert "its weights are in several files" in refusal(folder, UsageError)


def test_folders_that_hold_no_checkpoint_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, said in (("none", "no such folder"), ("file", "not a folder"), ("", "neither a")):
        assert said in refusal(tmp_path / name, UsageError)


def test_the_newest_checkpoint_is_the_one_with_the_highest_number(
    copied: Callable[[str], Path],
) -> None:
    seventh = copied("resnet")
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-010x", "checkpoint-best", "zzz"):
        shutil.copytree(seventh, seventh.with_name(name))
    seventh.with_name("checkpoint-99").write_text("no folder")
    assert ReferenceCheckpoint.find(str(seventh.parent)).folder.name == "checkpoint-10"
    assert ReferenceCheckpoint.find(str(seventh)).folder.name == "checkpoint-7"


def test_an_incomplete_newest_checkpoint_is_not_passed_over(
    copied: Callable[[str], Path],
) -> None:
    seventh = copied("resnet")
    tenth = Path(shutil.copytree(seventh, seventh.with_name("checkpoint-10")))
    (tenth / "model.safetensors").unlink()
    assert "checkpoint-10/model.safetensors: no such file" in refusal(seventh.parent, UsageError)


def test_the_fingerprint_follows_each_file_and_not_the_folder_s_name(
    copied: Callable[[str], Path],
) -> None:
    folder = copied("resnet")

    def now() -> str:
        return ReferenceCheckpoint.find(str(folder)).fingerprint()

    other = Path(shutil.copytree(folder, folder.with_name("elsewhere")))
    assert ReferenceCheckpoint.find(str(other)).fingerprint() == now()
    seen = {now()}
    change_config(folder, "teacher", note=1)
    seen.add(now())
    change_config(folder, "student", note=1)
    seen.add(now())
    tensors = load_file(folder / "model.safetensors")
    tensors["swapnet.teacher.classifier.2.bias"] += 1
    write(folder, tensors)
    assert len(seen | {now()}) == 4
