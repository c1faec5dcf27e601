"""torchvision beside a CPU build of torch.

PyPI has builds of torchvision for CUDA alone. Where torch is a CPU build, their extension cannot be
loaded. It holds operators for detection, which no classifier uses; all else of the package is
Python, and can be imported once the names of the two operators are known that it describes then.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import TypeVar

import torch

from pipeline.core.errors import UsageError, first_lines

_UNDEFINED = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_Made = TypeVar("_Made")


def with_torchvision(make: Callable[[], _Made]) -> _Made:
    """What a function gives that may import torchvision.

    Args:
        make: the function; called again where the import failed for want of these names. What else
            it raises passes through.
    """
    try:
        return make()
    except RuntimeError as error:
        if f"operator torchvision::{_UNDEFINED[0]} does not exist" not in str(error):
            raise
    for name in _UNDEFINED:
        torch.library.define(f"torchvision::{name}", _SCHEMA)
    return make()


def import_torchvision() -> None:
    """Imports torchvision where it is installed, before a library does that uses it then.

    Raises:
        UsageError: it cannot be imported.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        with_torchvision(lambda: importlib.import_module("torchvision"))
    except Exception as error:  # whatever builds that do not fit together raise
        raise not_imported("torchvision", error) from error


def not_imported(package: str, error: Exception) -> UsageError:
    """What to say of a package that is there and cannot be imported, for torchvision's sake."""
    return UsageError(
        f"the package `{package}` cannot be imported: {type(error).__name__}: {first_lines(error)}",
        f"install the version of torchvision that belongs to torch {torch.__version__}",
    )
