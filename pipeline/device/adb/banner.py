"""What a device says of itself when it accepts a connection."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Banner:
    """What a device says of itself when it accepts a connection.

    Attributes:
        state: ``device`` normally; ``recovery``, ``sideload``, ``rescue`` otherwise.
        properties: such as ``ro.product.model``.
        features: what its adbd can do, such as ``shell_v2``.
    """

    state: str
    properties: dict[str, str]
    features: frozenset[str]

    @classmethod
    def parse(cls, text: bytes) -> Banner:
        """Reads ``device::ro.product.model=Pixel 8;...;features=cmd,shell_v2,...``."""
        state, _, rest = text.rstrip(b"\0").decode("utf-8", "replace").partition("::")
        properties = dict(re.findall(r"([^=;]+)=([^;]*)", rest))
        features = frozenset(filter(None, properties.pop("features", "").split(",")))
        return cls(state, properties, features)
