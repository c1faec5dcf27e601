"""What a backend refuses: the operator, the module of the user's network that uses it, a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One operator, or one kind of module, that a backend does not take.

    Attributes:
        path: of the module, such as ``teacher.blocks.2.norm``; the unit's name where it is unknown.
        operator: what is refused, as the field calls it, such as ``atan2`` or ``torch.jit.script``.
        remedy: what to write instead.
    """

    path: str
    operator: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.operator} in {self.path}"


class NotLoweredError(UsageError):
    """A unit that cannot be lowered whole, and all reasons why.

    Args:
        name: of the unit.
        backend: that refuses, such as ``litert``; empty where any would.
        refusals: at least one.
    """

    def __init__(self, name: str, backend: str, refusals: Sequence[Refusal]) -> None:
        self.name = name
        self.backend = backend
        self.refusals = tuple(refusals)
        by = f" on {backend}" if backend else ""
        # The same operator in ten layers needs one remedy.
        remedies = dict.fromkeys(refusal.remedy for refusal in self.refusals)
        super().__init__(
            f"{name} cannot be lowered{by}: {'; '.join(map(str, self.refusals))}",
            "; ".join(remedies),
        )

    def _arguments(self) -> tuple[object, ...]:
        return (self.name, self.backend, self.refusals)
