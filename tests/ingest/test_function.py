from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.ingest.function import FunctionSource


def test_a_function_in_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def blocks(): return 7")
    assert FunctionSource.parse(f"{path}:blocks").load()() == 7


def test_a_function_in_a_module_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_blocks_module.py").write_text("def blocks(): return 8")
    monkeypatch.chdir(tmp_path)
    assert FunctionSource.parse("my_blocks_module:blocks").load()() == 8


def test_its_fingerprint_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def blocks(): return 7")
    source = FunctionSource.parse(f"{path}:blocks")
    before = source.fingerprint()
    assert source.fingerprint() == before
    path.write_text("def blocks(): return 8")
    assert source.fingerprint() != before


@pytest.mark.parametrize("text", ["", "blocks", ":blocks", "mine.py:", "mine.py:not a name"])
def test_what_names_no_function_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not name a function"):
        FunctionSource.parse(text)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    with pytest.raises(UsageError, match=r"mine\.py: no such file"):
        FunctionSource.parse(f"{path}:blocks").load()
    path.write_text("blocks = 3")
    with pytest.raises(UsageError, match=r"mine\.py has no function blocks"):
        FunctionSource.parse(f"{path}:blocks").load()
    with pytest.raises(UsageError, match=r"no module nowhere\.at\.all"):
        FunctionSource.parse("nowhere.at.all:blocks").load()
