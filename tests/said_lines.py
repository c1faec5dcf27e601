"""A progress that keeps what it is told to say."""

from __future__ import annotations

from pipeline.core.progress import Silent


class SaidLines(Silent):
    """Its lines, in the order in which they were said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
