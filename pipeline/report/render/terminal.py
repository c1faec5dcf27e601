"""Where tables are printed: stdout, never wider than 100 columns."""

from __future__ import annotations

from rich.console import Console

_WIDTH = 100


def table_console() -> Console:
    """A console of the terminal's width, or of 100 columns where there is no terminal."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = min(console.width, _WIDTH) if console.is_terminal else _WIDTH
    return console
