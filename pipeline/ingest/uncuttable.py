"""Why a network, or a part of it, cannot be looked into or cut."""

from __future__ import annotations

from pipeline.core.errors import UsageError


class UncuttableError(UsageError):
    """A network offers no cut: it cannot be followed from part to part, or nowhere alone.

    Args:
        what: went wrong, naming the network.
        remedy: what to do about it.
        why: the same in short, without the network; empty where no more is known.
    """

    def __init__(self, what: str, remedy: str, why: str = "") -> None:
        super().__init__(what, remedy)
        self.why = why

    def _arguments(self) -> tuple[object, ...]:
        return (self.what, self.remedy, self.why)
