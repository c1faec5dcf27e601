"""Names for how a module is built: what it is made of and in what shapes, whatever its weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

#: Where an object happens to lie in memory, which some texts show.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_PLAIN = (bool, int, float, str, torch.dtype, torch.Size, type(None))
_OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))


def structure_of(module: nn.Module) -> str:
    """The sha256 of a module's parts, their settings, code and shapes.

    It changes with everything that decides which operators the module runs on tensors of which
    shapes, as far as that can be read off it; not with the values of parameters and buffers.
    """
    digest = hashlib.sha256()
    for line in _lines(module):
        digest.update(_ADDRESS.sub("", line).encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


def _lines(module: nn.Module) -> Iterator[str]:
    files: set[str] = set()
    for path, part in module.named_modules():
        kind = type(part)
        yield f"{path}: {kind.__module__}.{kind.__qualname__}({part.extra_repr()})"
        files |= _files(kind)
        for name, value in sorted(vars(part).items()):
            # What begins with an underscore may be the user's, too; what torch keeps there may not.
            if name in _TORCH or name == "training":
                continue
            yield from _attribute(name, value, files)
        for hooks in (part._forward_hooks, part._forward_pre_hooks):
            for hook in hooks.values():
                yield from _attribute("hook", hook, files)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        yield f"{name} {tensor.dtype} {list(tensor.shape)}"
    # A graph's operators are in its code, and in no class.
    yield str(getattr(module, "code", ""))
    for file in sorted(files):
        with suppress(OSError):  # made while the program runs, perhaps
            yield hashlib.sha256(Path(file).read_bytes()).hexdigest()


_TORCH = frozenset(vars(nn.Module()))


def _attribute(name: str, value: Any, files: set[str]) -> Iterator[str]:
    if isinstance(value, _PLAIN):
        yield f"{name} = {value!r}"
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _attribute(name, item, files)
    elif isinstance(value, torch.Tensor):
        yield f"{name}: {value.dtype} {list(value.shape)}"
    elif (code := getattr(value, "__code__", None)) is not None:
        yield f"{name} = {code.co_code.hex()} {code.co_names} {code.co_consts}"
        files |= _theirs(code.co_filename)
    else:
        yield f"{name}: {type(value).__qualname__}"


def _files(kind: type) -> set[str]:
    """The files that say what a class computes, but for ours and torch's."""
    found: set[str] = set()
    for base in kind.__mro__:
        for value in vars(base).values():
            code = getattr(value, "__code__", None)
            if code is not None:
                found |= _theirs(code.co_filename)
    return found


def _theirs(file: str) -> set[str]:
    return set() if file.startswith(_OURS) else {file}
