"""The timm library where it is installed, and the names that it knows."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from pipeline.core.errors import UsageError
from pipeline.ingest.torchvision_names import not_imported, with_torchvision
from pipeline.ingest.zoo.timm_config import TIMM


def timm_library(place: str) -> Any:
    """The module ``timm``, which needs torchvision.

    Args:
        place: what follows ``timm:``, for errors.

    Raises:
        UsageError: one of them is not installed, or cannot be imported.
    """
    try:
        return with_torchvision(lambda: importlib.import_module("timm"))
    except ModuleNotFoundError as error:
        if error.name not in ("timm", "torchvision"):
            raise
        raise TIMM.missing(place) from None
    except Exception as error:  # whatever builds that do not fit together raise
        found = not_imported("timm", error)
        raise UsageError(f"timm:{place}: {found.what}", found.remedy) from error


def registered_on_hub(name: str) -> str:
    """The hub's name of the weights that the library means by a name such as ``resnet18.a1_in1k``.

    Raises:
        UsageError: the library is not installed, or knows no such model, or no weights of it.
    """
    timm = timm_library(name)
    architecture, _, tag = name.partition(".")
    trained = timm.list_pretrained()
    if not timm.is_model(architecture) or (tag and name not in trained):
        known = [*trained, *timm.list_models()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise UsageError(
            f"timm:{name}: no folder here, and the timm library knows no such model",
            (f"the nearest names are {', '.join(near)}; " if near else "")
            + 'timm.list_pretrained("*vit*") lists them; a folder or OWNER/NAME is found, too',
        )
    found: str | None = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if not found:
        raise UsageError(
            f"timm:{name}: the timm library knows no weights of it on the hub",
            f"train it, save it, {TIMM.saving}, and name the folder",
        )
    return found
