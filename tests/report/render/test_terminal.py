"""Tables on a terminal."""

from __future__ import annotations

import pytest
from rich.table import Table

from pipeline.report.render.terminal import table_console


@pytest.mark.parametrize("name", ["[cold] first answer", "adb:[fe80::1]:5555", "[/x]", ":100:"])
def test_a_name_is_printed_as_it_is_brackets_and_colons_too(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table("name")
    table.add_row(name)
    table_console().print(table)
    assert name in capsys.readouterr().out
