"""docs/inputs.md shows a network of padded texts: it is taken in, and padding says nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from pipeline.core.progress import Silent
from pipeline.ingest.intake import own_model
from pipeline.model.route import Route
from pipeline.settings import SourceModel
from tests.fixtures import settings_from
from tests.ingest.test_python import TRAINING

PAGE = Path(__file__).parents[2] / "docs" / "inputs.md"


@torch.no_grad()
@pytest.mark.parametrize("route", ["SS", "TS", "TT"])
def test_padding_says_nothing_along_any_route(route: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(# padded.py.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "padded.py").write_text(code)
    source = SourceModel(source=f"python:{tmp_path}/padded.py:model")
    text = f'name = "own"\n[data]\nsource = "digits"\n[model]\nsource = "{source.source}"\n'
    training = settings_from(text + TRAINING, tmp_path).training
    opened, _ = own_model(source, 1, training, Silent())
    model = opened.model.eval()
    tokens = torch.tensor([[7.0, 3, 9, 4] + [0] * 12])
    logits = model(tokens, Route.parse(route))
    places = [parameter for name, parameter in model.named_parameters() if name.endswith("places")]
    for table in places:
        table[4:] += 1  # of places where there is padding
    assert torch.equal(model(tokens, Route.parse(route)), logits)
    for table in places:
        table[:4] += 1
    assert not torch.equal(model(tokens, Route.parse(route)), logits)
