"""The one error of the loopback device."""

from __future__ import annotations


class LoopbackError(Exception):
    """Something that keeps the device from running, and what its user can do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n  remedy: {remedy}" if remedy else what)
