from __future__ import annotations

import pytest

from pipeline.core.progress import Bars


def test_a_long_note_leaves_the_time_whole_on_100_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    note = "epoch 4/6  93 89 99 100 % right  student 0.601 cross 0.741"
    with Bars().task("distil (joint)", total=1) as task:
        task.advance(1, note)
    shown = capsys.readouterr().err
    assert "0:00:00" in shown
    assert note in shown
