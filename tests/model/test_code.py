"""Whose code something is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import pipeline
from pipeline.model.code import is_users

_OURS, _TORCH = Path(pipeline.__file__).parent, Path(torch.__file__)


@pytest.mark.parametrize(
    ("file", "own"),
    [
        (_OURS.parent / "mine.py", True),
        (_OURS.parent / "pipeline_mine.py", True),
        (_OURS / "train.py", False),
        (_TORCH, False),
        (json.__file__, False),
        ("<frozen importlib._bootstrap>", False),
    ],
)
def test_a_file_is_a_user_s_unless_it_is_of_a_package(file: Path | str, own: bool) -> None:
    assert is_users(str(file)) is own
