"""No table of a file holds a number that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.bundle.artifact import Deviation
from pipeline.core.errors import UsageError
from pipeline.core.toml_file import load_toml
from pipeline.settings import Settings


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_a_setting_that_is_no_number_is_refused_by_name(word: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(
        f'name = "x"\n[data]\nsource = "digits"\n[model]\nfamily = "resnet"\n'
        f"[lowering]\ntolerance = {word}\n"
    )
    with pytest.raises(UsageError, match=r"lowering\.tolerance"):
        load_toml(path, Settings)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "1e999"])
def test_a_deviation_that_is_no_number_is_refused(word: str) -> None:
    data = json.loads(f'{{"max_abs": {word}, "max_rel": 0.0, "inputs": 1}}')
    with pytest.raises(ValueError, match="finite number"):
        Deviation.model_validate(data)
