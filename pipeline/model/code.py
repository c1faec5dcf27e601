"""Whose code something is, and names for what it does."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import torch


def type_name(kind: type) -> str:
    """The name of a class with its module's."""
    return f"{kind.__module__}.{kind.__qualname__}"


def code_digest(code: CodeType) -> str:
    """Names what a code object does, not where it stands."""
    digest = hashlib.sha256(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        match constant:
            case CodeType():
                digest.update(code_digest(constant).encode())
            case frozenset():
                digest.update(repr(sorted(map(repr, constant))).encode())
            case _:
                digest.update(repr(constant).encode())
    return digest.hexdigest()


def names_in(code: CodeType) -> set[str]:
    """The globals and attributes that a code object and those in it name."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_in(constant)
    return found


_OURS, _TORCH = Path(__file__).parents[1], Path(torch.__file__).parent
# A file beside a package may begin with its name.
_PACKAGES = tuple(f"{folder}{os.sep}" for folder in (_OURS, _TORCH))
_INSTALLED = (*_PACKAGES, "<frozen", "<built-in")
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


def is_users(file: str) -> bool:
    """Whether a file of Python is a user's own, not of a package that is installed, nor ours."""
    if file.startswith(_INSTALLED) or {"site-packages", "dist-packages"} & set(Path(file).parts):
        return False
    return not file.startswith(_STANDARD)


def is_users_class(kind: type) -> bool:
    """Whether a class is a user's own, by the files that its methods are of."""
    functions = (value for value in vars(kind).values() if isinstance(value, FunctionType))
    files = [function.__code__.co_filename for function in functions]
    if any(is_users(file) and not file.startswith("<") for file in files):
        return True
    if files:
        return False
    module = sys.modules.get(kind.__module__)
    file: str | None = getattr(module, "__file__", None)
    return module is None or (file is not None and is_users(file))


def forward_text(kind: type) -> str | None:
    """Names the text of the file of a class that says what an installed module computes."""
    forward: Callable[..., Any] | None = vars(kind).get("forward")
    code = getattr(forward, "__code__", None)
    if code is None or code.co_filename.startswith((*_INSTALLED, "<")):
        return None
    with suppress(OSError):
        return hashlib.sha256(Path(code.co_filename).read_bytes()).hexdigest()
    return None
