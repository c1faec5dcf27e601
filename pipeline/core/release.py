"""Which release of the pipeline this is, and the checkout that it runs from. Quick to import."""

from __future__ import annotations

import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "pwl-android"
_ROOT = Path(__file__).resolve().parents[2]


def release() -> str:
    """The version: of the checkout where the code is one, or else of what is installed."""
    try:
        with (_ROOT / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file).get("project", {})
        if project.get("name") == NAME:
            return str(project["version"])
    except (OSError, ValueError, KeyError):
        pass
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "of an unknown version"


def commit() -> str | None:
    """The commit that is checked out, with a word on changed files; None outside of git."""
    head = _git("rev-parse", "--show-toplevel", "HEAD")
    if head is None:
        return None
    top, _, name = head.partition("\n")
    if Path(top).resolve() != _ROOT:  # installed into an environment inside of another checkout
        return None
    return f"{name}, with changed files" if _git("status", "--porcelain", "-uno") else name


def description() -> str:
    """Release, folder and commit, as ``--version`` prints them."""
    known = commit()
    return f"{NAME} {release()}\nfrom {_ROOT}" + (f"\ncommit {known}" if known else "")


def _git(*words: str) -> str | None:
    command = ["git", "-C", str(_ROOT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip()
