"""The rooms of the house: imports go one way, and nothing outgrows a screen or a head."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures import ROOT

#: In the order in which values walk through them.
ROOMS = (
    *("core", "settings", "data", "model", "evaluation", "training", "ingest", "lowering"),
    *("bundle", "toolchain", "device", "harness", "report", "schedule", "workflows"),
)
COMMANDS = {"build", "check", "compare", "evaluate", "inspect", "profile", "trace", "train"}
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
def test_tests_lie_as_what_they_test_does(room: str) -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in (tests / room).rglob("test_*.py")}
    assert [folder for folder in folders if not (PIPELINE / folder).is_dir()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_those_before_it_only(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for path in sorted((PIPELINE / room).rglob("*.py")):
        assert imported(path) <= allowed, path


#: What every backend's folder has, and what lowering/ says of such a folder.
PARALLEL = {"backend", "quantize", "rules"}


def test_no_two_modules_have_one_name() -> None:
    """A name says which noun a module is of: `model.py` in three rooms would say nothing."""
    places: dict[str, list[str]] = {}
    for path in sorted(PIPELINE.rglob("*.py")):
        if path.stem != "__init__":
            places.setdefault(path.stem, []).append(str(path.parent.relative_to(PIPELINE)))
    lowering = {f"lowering{folder}" for folder in ("", "/executorch", "/litert")}
    found = {
        name: folders
        for name, folders in places.items()
        if len(folders) > 1 and not (name in PARALLEL and lowering >= {*folders})
    }
    assert found == {}


#: Lines of a module and of a function, and what a function takes. A command takes its options, a
#: line or more each: of it, what it does counts.
MOST_LINES, LONGEST, MOST_PARAMETERS, MOST_CARRIERS = 300, 60, 6, 6
#: What keeps a model, and what the model is there.
CARRIERS = {
    "OpenedModel": "as a checkpoint or a function gives it, without data",
    "ModelSource": "beside the data of a profile, before any training",
    "CachedTrainer": "for whatever routes are asked for, trained here or not",
    "LoweredTrainer": "the same, evaluated by its programs",
    "EvaluatedModel": "with what it says of images",
    "ScheduledModel": "with the routes that ship",
}


def modules() -> list[Path]:
    return sorted(PIPELINE.rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def test_no_module_is_longer_than_its_noun() -> None:
    lines = {str(path): len(path.read_text().splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_does_or_takes_more_than_one_can_keep_in_mind() -> None:
    found = []
    for path in modules():
        for function in functions(path):
            is_command = any(ast.unparse(name) == "command" for name in function.decorator_list)
            start = function.body[0].lineno if is_command else function.lineno
            end = function.end_lineno or start
            taken = function.args
            names = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
            count = sum(name.arg not in ("self", "cls") for name in names)
            if end - start >= LONGEST or (count > MOST_PARAMETERS and not is_command):
                found.append(
                    f"{path}:{function.lineno} {function.name}: {end - start + 1}, {count}"
                )
    assert found == []


def test_a_model_is_carried_by_few_kinds_of_values() -> None:
    """Classes that keep a `PwlModel`, or another that does, in whatever way."""
    kept = {
        node.name: kept_types(node)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    interfaces = {name for name, types in kept.items() if "Protocol" in types}
    kinds, before = {"PwlModel"}, set[str]()
    while kinds != before:
        before = kinds
        kinds = kinds | {name for name, types in kept.items() if types & kinds}
    assert kinds - {"PwlModel"} - interfaces == CARRIERS.keys()
    assert len(CARRIERS) <= MOST_CARRIERS


def kept_types(node: ast.ClassDef) -> set[str]:
    """The names of a class's bases and of the types of what it holds.

    Held are its fields, its properties, attributes that are annotated, and arguments that go into
    an attribute, alone or in whatever is made of them there.
    """
    kept = [
        *node.bases,
        *(item.annotation for item in node.body if isinstance(item, ast.AnnAssign)),
    ]
    for made in (item for item in node.body if isinstance(item, ast.FunctionDef)):
        if any("property" in ast.unparse(name) for name in made.decorator_list) and made.returns:
            kept.append(made.returns)
        arguments = [*made.args.args, *made.args.kwonlyargs]
        taken = {name.arg: name.annotation for name in arguments if name.annotation}
        for step in ast.walk(made):
            if isinstance(step, ast.AnnAssign) and isinstance(step.target, ast.Attribute):
                kept.append(step.annotation)
            elif isinstance(step, ast.Assign) and is_attribute(step.targets[0]):
                names = {part.id for part in ast.walk(step.value) if isinstance(part, ast.Name)}
                kept += [taken[name] for name in names & taken.keys()]
    return {part.id for one in kept for part in ast.walk(one) if isinstance(part, ast.Name)}


def is_attribute(target: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Attribute) and ast.unparse(part.value) == "self"
        for part in ast.walk(target)
    )


#: What each published file has, and customs of logging and of torch.
REPEATED = {"SCHEMA_VERSION", "aten", "logger"}


def test_one_name_means_one_thing_and_is_defined_once() -> None:
    """Public names of modules; a TypeVar means nothing beyond its own.

    Modules of one name, such as backends have, are parallel: so are their names.
    """
    places: dict[str, list[str]] = {}
    for path in modules():
        for name in defined(ast.parse(path.read_text()).body):
            if not name.startswith("_"):
                places.setdefault(name, []).append(str(path.relative_to(PIPELINE)))
    found = {
        name: paths
        for name, paths in places.items()
        if name not in REPEATED and len({Path(path).name for path in paths}) > 1
    }
    assert found == {}


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module defines at its top."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign) and "TypeVar(" not in ast.unparse(node.value):
            yield from (name.id for name in node.targets if isinstance(name, ast.Name))
