"""What modules are made of, by place: tensors, arrays, tables and code, wherever they keep them.

A state dict holds parameters and persistent buffers alone. What a module computes may depend on
other buffers, on tensors and arrays that are plain attributes, in lists, in closures or in globals
of the file that defines it. All of it counts where something is kept under a model's name.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from pipeline.core.fingerprint import fingerprint
from pipeline.model.code import (
    code_digest,
    forward_text,
    is_users,
    is_users_class,
    names_in,
    type_name,
)
from pipeline.model.keras_unit import KerasUnit

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_PARTS = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
#: What a class has beside what its author wrote.
_BOILERPLATE = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "_abc_impl"}
#: Beyond these, a model is named by what was found so far and by its answers.
_MOST, _DEEPEST = 50_000, 60


@dataclass(frozen=True, slots=True)
class Content:
    """What a model is made of; two that are equal compute the same.

    Attributes:
        numbers: by place the sha256 of each tensor and array.
        rest: by place a spelling or the sha256 of everything else: code, settings, tables in lists.
    """

    numbers: Mapping[str, str]
    rest: Mapping[str, str]

    @property
    def key(self) -> str:
        """Names all of it."""
        return fingerprint(dict(self.numbers), dict(self.rest))

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Content:
        """The same with further tensors, such as the model's answers."""
        more = {name: tensor_digest(tensor) for name, tensor in tensors.items()}
        return Content({**self.numbers, **more}, self.rest)


def content_of(parts: Mapping[str, nn.Module]) -> Content:
    """The content of modules by name. Nothing of them is run.

    The same in every process, but for what differs there: times, addresses, unseeded numbers.
    """
    walk = _Walk()
    for name, module in parts.items():
        walk.value(name, module)
    return Content(walk.numbers, walk.rest)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The places at which two contents differ."""
    both = before.keys() | after.keys()
    return sorted(place for place in both if before.get(place) != after.get(place))


def tensor_digest(tensor: Tensor) -> str:
    """The sha256 of a tensor's dtype, shape and values; its strides do not count."""
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}\0".encode())
    plain = tensor.detach()
    if plain.is_meta:
        return digest.hexdigest()
    if plain.is_quantized:
        digest.update(f"{plain.qscheme()}\0".encode())
        plain = plain.dequantize()
    if plain.layout != torch.strided:
        plain = plain.to_dense()
    plain = plain.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    if plain.numel():
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


class _Walk:
    """Goes through objects once each, and notes what they hold by place."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}
        self.rest: dict[str, str] = {}
        self._seen: dict[int, str] = {}
        self._kept: list[object] = []  # whose numbers in `_seen` no other object may get
        self._depth = 0

    def value(self, place: str, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self.rest[place] = repr(value)
        elif isinstance(value, Tensor):
            self._tensor(place, value)
        elif isinstance(value, np.ndarray | np.generic) and value.dtype != object:
            array = np.ascontiguousarray(value)
            head = f"{array.dtype.str} {list(array.shape)}\0".encode()
            self.numbers[place] = hashlib.sha256(head + array.tobytes()).hexdigest()
        elif (first := self._seen.get(id(value))) is not None:
            self.rest[place] = f"= {first}"
        elif len(self._seen) < _MOST and self._depth < _DEEPEST:
            self._seen[id(value)] = place
            self._kept.append(value)
            self._depth += 1
            try:
                self._compound(place, value)
            finally:
                self._depth -= 1

    def _tensor(self, place: str, tensor: Tensor) -> None:
        try:
            self.numbers[place] = tensor_digest(tensor)
        except (RuntimeError, NotImplementedError, TypeError):  # a subclass without plain values
            self.rest[place] = f"{type(tensor).__qualname__} {list(tensor.shape)}"

    def _compound(self, place: str, value: Any) -> None:
        match value:
            case nn.Module():
                self._module(place, value)
            case FunctionType():
                self._function(place, value)
            case MethodType():
                self.value(f"{place}()", value.__func__)
                self.value(f"{place} of", value.__self__)
            case type():
                self._class(place, value)
            case ModuleType():
                self.rest[place] = value.__name__
            case BuiltinFunctionType():
                self.rest[place] = value.__name__
                if not isinstance(value.__self__, ModuleType | None):
                    self.value(f"{place} of", value.__self__)  # such as a table's `get`
            case np.ndarray():
                self.value(place, value.tolist())
            case MappingProxyType():
                self.value(place, dict(value))
            case memoryview():
                self.value(place, value.tobytes())
            case dict():
                self._items(place, ((repr(key), item) for key, item in value.items()), value)
                for key in value:
                    if not isinstance(key, _PLAIN):
                        self.value(f"{place} key", key)
            case list() | tuple():
                self._items(place, ((str(n), item) for n, item in enumerate(value)), value)
            case set() | frozenset():
                self.rest[place] = repr(sorted(repr(v) for v in value if isinstance(v, _PLAIN)))
                others = [item for item in value if not isinstance(item, _PLAIN)]
                for number, item in enumerate(sorted(others, key=lambda v: type_name(type(v)))):
                    self.value(f"{place} {number}", item)
            case staticmethod() | classmethod():
                self.value(place, value.__func__)
            case property():
                self.value(place, value.fget)
            case cached_property():
                self.value(place, value.func)
            case _:
                self._object(place, value)

    def _items(self, place: str, items: Iterable[tuple[str, Any]], whole: Any) -> None:
        self.rest[place] = f"{type(whole).__qualname__} {len(whole)}"
        values = whole.values() if isinstance(whole, dict) else whole
        if all(isinstance(value, _PLAIN) for value in values) and len(whole) > 8:
            self.rest[place] += hashlib.sha256(repr(whole).encode()).hexdigest()
            return
        for key, value in items:
            self.value(f"{place}[{key}]", value)

    def _module(self, place: str, module: nn.Module) -> None:
        self.rest[place] = type_name(type(module))
        if isinstance(module, KerasUnit):
            self.rest[place] += f" {module.content()}"
            return
        if isinstance(module, torch.jit.ScriptModule):
            self.rest[f"{place} graph"] = str(module.inlined_graph)
            for name, tensor in module.state_dict(keep_vars=True).items():
                self.value(f"{place}.{name}", tensor)
            return
        attributes = vars(module)
        if isinstance(module, fx.GraphModule):
            self.rest[f"{place} code"] = module.code
            for node in module.graph.nodes:
                if node.op == "call_function":
                    self.value(f"{place} {node.name}", node.target)
            attributes = {name: attributes[name] for name in _PARTS}
        elif type(module).__name__ == "OptimizedModule":  # torch.compile's, around the module
            attributes = {"_modules": module._modules}
        else:
            self._class(f"{place} class", type(module))
        for name, value in attributes.items():
            if name in _PARTS:
                for key, part in value.items():
                    self.value(f"{place}.{key}", part)
            elif name in _HOOKS:
                for number, hook in enumerate(value.values()):
                    self.value(f"{place} hook {number}", hook)
            elif name not in _MODULE_ATTRIBUTES:
                self.value(f"{place}.{name}", value)

    def _function(self, place: str, function: FunctionType) -> None:
        code = function.__code__
        self.rest[place] = f"{function.__module__}.{function.__qualname__}"
        for name, value in (function.__kwdefaults__ or {}).items():
            self.value(f"{place} {name}=", value)
        for number, value in enumerate(function.__defaults__ or ()):
            self.value(f"{place} default {number}", value)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # not filled yet
                self.value(f"{place} {name}", cell.cell_contents)
        for name, value in vars(function).items():
            self.value(f"{place}.{name}", value)
        if not is_users(code.co_filename):
            return
        self.rest[f"{place} code"] = code_digest(code)
        names = names_in(code)
        for name in sorted(names):
            value = function.__globals__.get(name, sys.modules.get(name))
            if value is not None:
                self._global(f"{function.__module__}.{name}", value, names)

    def _global(self, place: str, value: Any, names: set[str]) -> None:
        """A global that a function names; of a module what the function may take from there."""
        if not isinstance(value, ModuleType):
            self.value(place, value)
        elif is_users(getattr(value, "__file__", None) or "<built-in>"):
            for name in sorted(names & vars(value).keys()):
                inner = vars(value)[name]
                if not isinstance(inner, ModuleType) or inner.__name__.startswith(value.__name__):
                    self._global(f"{value.__name__}.{name}", inner, names - {name})

    def _class(self, place: str, kind: type) -> None:
        self.rest[place] = type_name(kind)
        for base in kind.__mro__:
            if not is_users_class(base):
                if (text := forward_text(base)) is not None:
                    self.rest[f"{type_name(base)} file"] = text
                continue
            for name, value in vars(base).items():
                if name not in _BOILERPLATE:
                    self.value(f"{type_name(base)}.{name}", value)

    def _object(self, place: str, value: Any) -> None:
        self.rest[place] = type_name(type(value))
        if callable(inner := getattr(value, "__wrapped__", None)):  # of functools.lru_cache
            self.value(f"{place} wrapped", inner)
        elif is_users_class(type(value)):
            self._class(f"{place} class", type(value))
            for name, attribute in vars(value).items() if hasattr(value, "__dict__") else ():
                self.value(f"{place}.{name}", attribute)
            for base in type(value).__mro__:
                for name in getattr(base, "__slots__", ()):
                    if isinstance(name, str) and hasattr(value, name):
                        self.value(f"{place}.{name}", getattr(value, name))
        else:
            self._reduced(place, value)

    def _reduced(self, place: str, value: Any) -> None:
        """What pickle would write of an object; nothing of locks, files and generators."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # whatever an object's own code raises
            return
        if isinstance(reduced, str):
            self.rest[place] += f" {reduced}"
            return
        for number, part in enumerate(reduced):
            if part is not None:
                listed = part if number < 3 else list(part) if number < 5 else None
                self.value(f"{place} <{number}>", listed)


#: Of every module; what they hold is told above, or does not change what it computes.
_MODULE_ATTRIBUTES = frozenset(vars(nn.Module()))
