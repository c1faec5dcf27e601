"""The folder of several devices' reports is of one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.atomic_files import sha256_of
from pipeline.report.devices import DeviceResult
from pipeline.workflows.device_files import (
    earlier_devices,
    forget_devices,
    remove_stale,
    write_devices,
)
from tests.report.several import failed, several, well


def written(name: str, out: Path) -> DeviceResult:
    """A device with a report in the folder of all."""
    (out / name).mkdir()
    for file in ("report.json", "report.html", "curve.svg"):
        (out / name / file).write_text(name)
    result = well(name)
    assert result.measured is not None
    sha256 = sha256_of(out / name / "report.json")
    return result.model_copy(
        update={"measured": result.measured.model_copy(update={"sha256": sha256})}
    )


def test_a_report_that_a_later_run_has_not_replaced_is_removed(tmp_path: Path) -> None:
    names = ("kept", "gone", "edited", "annotated")
    devices = {name: written(name, tmp_path) for name in names}
    write_devices(several([*devices.values()]), tmp_path)
    (tmp_path / "edited" / "report.json").write_text("by hand")
    (tmp_path / "annotated" / "notes.txt").touch()
    (tmp_path / "foreign").mkdir()
    earlier = earlier_devices(tmp_path)
    assert earlier is not None
    now = several([devices["kept"], *(failed(name) for name in names[1:])])
    remove_stale(earlier, now, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        *("annotated", "edited", "foreign", "kept")
    ]
    assert [path.name for path in (tmp_path / "annotated").iterdir()] == ["notes.txt"]
    assert (tmp_path / "kept" / "report.html").exists()


@pytest.mark.parametrize("text", ["", "{}", "not JSON"])
def test_a_file_that_is_none_of_ours_stands_for_no_earlier_run(text: str, tmp_path: Path) -> None:
    assert earlier_devices(tmp_path) is None
    (tmp_path / "devices.json").write_text(text)
    assert earlier_devices(tmp_path) is None


def test_what_was_written_about_all_is_forgotten_as_soon_as_one_is_replaced(
    tmp_path: Path,
) -> None:
    write_devices(several([well("one")]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["devices.html", "devices.json"]
    forget_devices(tmp_path)
    forget_devices(tmp_path)
    assert [*tmp_path.iterdir()] == []
