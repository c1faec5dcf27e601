"""The C++ unit tests, one by one, as they are and under sanitizers, on a real bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle
from tests.harness.gtest import BY_THEMSELVES, ON_A_BUNDLE, Program


@pytest.fixture(scope="session", params=["plain", "address", "thread"])
def program(request: pytest.FixtureRequest) -> Program:
    return Program.built("" if request.param == "plain" else request.param)


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_runtime(program: Program, name: str, tmp_path: Path) -> None:
    program.require(name, tmp_path)


@pytest.mark.parametrize("name", ON_A_BUNDLE)
def test_runtime_on_a_bundle(
    program: Program, name: str, either_bundle: Bundle, tmp_path: Path
) -> None:
    program.require(name, tmp_path, either_bundle.root)


def test_no_test_of_the_program_is_left_out(program: Program) -> None:
    assert sorted(program.listed()) == sorted([*BY_THEMSELVES, *ON_A_BUNDLE])
    assert ON_A_BUNDLE
