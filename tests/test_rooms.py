"""The rooms of the house: imports go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.fixtures import ROOT

#: In the order in which values walk through them.
ROOMS = (
    *("core", "settings", "data", "model", "evaluation", "training", "ingest", "lowering"),
    *("bundle", "toolchain", "device", "harness", "report", "schedule", "workflows"),
)
COMMANDS = {"build", "check", "evaluate", "inspect", "profile", "train"}
PIPELINE = ROOT / "pipeline"


def imported(path: Path) -> set[str]:
    """The rooms and commands that a module imports from, at its top or inside of a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("pipeline.")}
    return found


def test_the_top_level_holds_the_commands_and_the_rooms() -> None:
    modules = {path.stem for path in PIPELINE.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in PIPELINE.glob("*/__init__.py")}
    assert modules == COMMANDS
    assert packages == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_those_before_it_only(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for path in sorted((PIPELINE / room).rglob("*.py")):
        assert imported(path) <= allowed, path
