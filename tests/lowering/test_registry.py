"""The backends are data: what takes a name takes what the table has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.settings import BACKENDS, BackendSpec, backend_named
from pipeline.workflows.lowering_targets import target_of
from tests.fixtures import ROOT, TINY_PROFILE, settings_from
from tests.toy_backend import SPEC

ENGINES = ROOT / "android_harness" / "src" / "engines"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> BackendSpec:
    monkeypatch.setitem(BACKENDS, SPEC.name, SPEC)
    return SPEC


def test_the_command_line_takes_what_the_table_has(toy: BackendSpec) -> None:
    assert backend_named("toy") == "toy"
    with pytest.raises(UsageError, match="onnx") as caught:
        backend_named("onnx")
    assert caught.value.remedy == "one of: executorch, litert, toy"


def test_int8_for_one_without_a_quantizer_names_what_there_is(
    toy: BackendSpec, tmp_path: Path
) -> None:
    text = f'{TINY_PROFILE}\n[lowering]\nbackend = "toy"\nprecision = "int8"\n'
    assert target_of(settings_from(text, tmp_path)).exporters.keys() == {"torch"}


def test_a_profile_with_an_unknown_backend_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no backend is called 'onnx': .* executorch, litert"):
        settings_from(f'{TINY_PROFILE}\n[lowering]\nbackend = "onnx"\n', tmp_path)


def test_every_backend_has_an_engine_in_the_harness() -> None:
    table = (ENGINES / "make_engine.cc").read_text()
    for name in BACKENDS:
        assert f'{{"{name}",' in table
        assert (ENGINES / name).is_dir()
