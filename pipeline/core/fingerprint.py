"""Names for content: what was computed from the same things has the same name, and is reused."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_GRAPHICS = Path("/proc/driver/nvidia/gpus")
#: What a GPU is used by where the driver says nothing in /proc: in containers, and in WSL2.
_NODES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


def fingerprint(*parts: Any) -> str:
    """The sha256 of JSON-able values and settings, in an order-independent spelling."""
    text = json.dumps([_plain(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of some packages."""
    return {package: version(package) for package in packages}


def machine_kind() -> str:
    """What float results of this machine depend on beside the versions: abilities and GPUs.

    Read from /proc where there is one, so that torch need not be imported to name it; it is asked
    where a GPU can be used that /proc does not name.
    """
    flags: set[str] = set()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                flags = set(value.split())
                break
    except OSError:
        pass
    wide = sorted(flags & {"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"})
    arm = sorted(flags & {"asimd", "asimddp", "sve", "sve2", "bf16", "i8mm"})
    return " ".join([platform.machine(), *wide, *arm, *_graphics()])


def _graphics() -> list[str]:
    """The kinds of NVIDIA GPUs that torch may use, such as ``NVIDIA-H100-80GB-HBM3``."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    kinds: set[str] = set()
    for path in _GRAPHICS.glob("*/information"):
        with suppress(OSError):
            for line in path.read_text(errors="replace").splitlines():
                key, _, value = line.partition(":")
                if key.strip() == "Model":
                    kinds.add("-".join(value.split()))
    if not kinds and any(node.exists() for node in _NODES) and "+cpu" not in version("torch"):
        kinds = _graphics_of_torch()
    return sorted(kinds)


def _graphics_of_torch() -> set[str]:
    """The same as torch names them."""
    import torch

    if not torch.cuda.is_available():
        return set()
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return {"-".join(str(each.name).split()) for each in found}


def _plain(part: Any) -> Any:
    return part.model_dump(mode="json") if isinstance(part, BaseModel) else part
