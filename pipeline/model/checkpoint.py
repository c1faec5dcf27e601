"""Checkpoints: safetensors files, written whole or not at all. Nothing is ever unpickled.

The format has no checksum: the header carries one of all tensors and facts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.core.atomic_files import replacing
from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.core.fingerprint import fingerprint
from pipeline.model.content import tensor_digest
from pipeline.model.wrapping import strip_remedy, wrapping


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and JSON-able facts; the file appears only when it is complete.

    Raises:
        DeviceError: it cannot be written, as on a full disk.
    """
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            sealed = {**facts, _CHECKSUM: _checksum(contiguous, _as_read(facts))}
            # One entry: the format writes several in any order.
            save_file(contiguous, temporary, {"facts": json.dumps(sealed, sort_keys=True)})
        except SafetensorError as error:
            raise DeviceError(
                f"{path}: cannot be written: {error}",
                "make room there, or name another --cache, and run again",
            ) from None


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_tensors` wrote.

    Raises:
        IntegrityError: the file is damaged or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        facts = json.loads(metadata["facts"])
        if not isinstance(facts, dict):
            raise ValueError("its facts are no table")
        stated = facts.pop(_CHECKSUM, None)  # earlier releases wrote none
        if stated is not None and stated != _checksum(tensors, facts):
            raise ValueError("its values are not those that were written")
    except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
        raise IntegrityError(
            f"{path}: not a whole checkpoint: {error}", "delete the file; it is made again"
        ) from None
    return tensors, facts


def _checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True)
    return fingerprint({name: tensor_digest(each) for name, each in tensors.items()}, text)


def _as_read(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads(json.dumps(facts))
    return read


#: The key of the checksum among the file's facts.
_CHECKSUM = "checksum"
_REMEDY = "use the profile that the file came from"
#: Before the names of buffers that a state dict leaves out.
_APART = "not persistent "


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers, those too that are not persistent; `load_into` reads it.

    Training may change a buffer, whatever it is registered as.
    """
    state = _state(module)
    buffers = dict(module.named_buffers(remove_duplicate=False))
    apart = {
        f"{_APART}{name}": b.detach().clone() for name, b in buffers.items() if name not in state
    }
    return state | apart


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: part for name, part in module.state_dict().items() if isinstance(part, Tensor)}


def load_into(
    module: nn.Module, tensors: Mapping[str, Tensor], path: Path, *, assign: bool = False
) -> None:
    """Fills a module's parameters and buffers, every one of them and nothing else.

    Buffers that are not persistent may be missing: they stay as they are then.

    Args:
        module: filled in place.
        tensors: what to fill it with, by name.
        path: the file that the tensors came from, for errors.
        assign: make the tensors themselves the module's, which may then be on the meta device.

    Raises:
        IntegrityError: names, shapes or dtypes differ; they are named.
    """
    apart = {name.removeprefix(_APART): t for name, t in tensors.items() if name.startswith(_APART)}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(_APART)}
    expected = _state(module)
    missing, extra = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    wrong = [
        f"{name} is {tensor_kind(tensors[name])}, not {tensor_kind(expected[name])}"
        for name in expected.keys() & tensors.keys()
        if tensor_kind(tensors[name]) != tensor_kind(expected[name])
    ]
    problems = [f"missing {name}" for name in sorted(missing)]
    extra |= {name for name in apart if not _has_module(module, name.rpartition(".")[0])}
    problems += [f"left over {name}" for name in sorted(extra)] + sorted(wrong)
    if problems:
        shown = "\n  ".join(problems[:12]) + ("\n  ..." if len(problems) > 12 else "")
        what, remedy = f"{path} does not fit the model:\n  {shown}", _REMEDY
        if found := wrapping(extra, missing):
            what, remedy = f"{path}: {found}\n  {shown}", strip_remedy(found, path)
        raise IntegrityError(what, remedy)
    module.load_state_dict(tensors, assign=assign)
    if not module.training:  # what some make of their weights once for eval mode, as LeViT does
        module.train().eval()
    for name, tensor in apart.items():
        owner, _, leaf = name.rpartition(".")
        buffers = module.get_submodule(owner)._buffers
        # One that is made while a block runs is not there yet, and will be made again.
        if (now := buffers.get(leaf)) is not None:
            buffers[leaf] = tensor.to(now.device)


def _has_module(module: nn.Module, path: str) -> bool:
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True


def tensor_kind(tensor: Tensor) -> str:
    """Dtype and shape in words, such as ``float32 [2, 3]``."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
