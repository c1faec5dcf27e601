"""Several devices side by side: the file, the tables, the page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.bundle.artifact import Edge
from pipeline.bundle.output import Output
from pipeline.core.errors import ExitCode, IntegrityError, UsageError, worst_code
from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.report.devices import DeviceResult, DevicesReport, load_devices
from pipeline.report.render.devices_page import devices_page
from pipeline.report.render.devices_table import devices_tables
from tests.report.several import failed, several, well

MANY = [well(f"phone-{number}") for number in range(12)]
LONG = well("x" * 70)


def test_the_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = several([well("one"), failed("other")])
    (tmp_path / "devices.json").write_text(written.to_json())
    assert load_devices(tmp_path / "devices.json") == written
    assert written.status == ExitCode.DEVICE


def changed(report: DevicesReport, **update: Any) -> str:
    return json.dumps({**report.model_dump(mode="json"), **update})


@pytest.mark.parametrize(
    ("update", "error", "said"),
    [
        ({"schema_version": 2}, UsageError, "schema version 2"),
        ({"status": 0}, IntegrityError, "not the gravest"),
        ({"devices": []}, IntegrityError, "devices"),
        ({"colour": "red"}, IntegrityError, "colour"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    update: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "devices.json"
    path.write_text(changed(several([well("one"), failed("other")]), **update))
    with pytest.raises(error, match=said):
        load_devices(path)


@pytest.mark.parametrize("folder", ["..", ".", "a/b", "", "-x", "/tmp"])
def test_a_report_is_looked_for_beside_the_file_only(folder: str, tmp_path: Path) -> None:
    data = json.loads(changed(several([well("one")])))
    data["devices"][0]["measured"]["folder"] = folder
    (tmp_path / "devices.json").write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match="folder"):
        load_devices(tmp_path / "devices.json")


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 5], 5),
        ([5, 3], 3),
        ([3, 2, 5], 2),
        ([2, 1, 3], 1),
        ([1, 4, 0], 4),
    ],
)
def test_the_exit_status_is_the_gravest(codes: list[int], code: int) -> None:
    assert worst_code(map(ExitCode, codes)) == code


@pytest.mark.parametrize(
    "devices",
    [MANY, [LONG, failed("y" * 70)], [failed("one"), failed("other")], [well("one")]],
    ids=["many", "long names", "none measured", "one"],
)
def test_the_tables_fit_a_hundred_columns_and_name_every_device(devices: list[Any]) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(devices_tables(several(devices)))
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    for device in devices:
        assert device.name in text or device.name[:22] in text


@pytest.mark.parametrize(
    "devices",
    [MANY, [LONG, failed("other")], [failed("one"), failed("other")], [well("one")]],
    ids=["many", "a failure", "none measured", "one"],
)
def test_the_page_is_whole_and_needs_no_other_file(devices: list[Any]) -> None:
    page = devices_page(several(devices))
    measured = [device.name for device in devices if device.measured]
    # Two start states, twice; latency and memory.
    assert page.count("<svg") == page.count("</svg>") == (6 if measured else 0)
    for device in devices:
        assert device.name in page
    links = re.findall(r'href="(?!#)([^"]+)"', page)
    assert links == [f"{name}/report.html" for name in measured]
    assert not re.findall(r'src="|url\((?!#)|@import', page)


def without(result: DeviceResult, ending: str) -> DeviceResult:
    """A device whose report lacks the metrics of such names."""
    assert result.measured is not None
    metrics = {k: v for k, v in result.measured.metrics.items() if not k.endswith(ending)}
    measured = result.measured.model_copy(update={"metrics": metrics})
    return result.model_copy(update={"measured": measured})


def test_the_page_shows_only_what_was_measured() -> None:
    one, other = without(well("one"), "peak_rss_mb.pwl.cold"), without(well("other"), ".cold")
    page = devices_page(several([one, other]))
    assert "peak memory, warm, MB" in page
    assert "peak memory, cold, MB" not in page
    assert "first answer, progressive, cold, ms" in page
    for arm in ("progressive", "teacher alone"):  # the bars of the other's cold start
        assert f">other, {arm}: not measured<" in page


def test_what_speaks_against_the_model_is_in_the_tables_and_on_the_page() -> None:
    warning = ModelWarning(kind="teacher", text="the teacher is no better than chance")
    report = several([failed("one")]).model_copy(update={"warnings": (warning,)})
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(devices_tables(report))
    assert "warning: the teacher is no better than chance" in console.export_text()
    assert "the teacher is no better than chance" in devices_page(report)


def test_the_page_keeps_an_error_with_its_remedy_and_escapes_it() -> None:
    page = devices_page(several([well("one"), failed("other")]))
    assert "nothing listens at &lt;phone&gt;" in page
    assert "plug it in &amp; try again" in page


def test_every_control_arm_is_in_table_and_plot() -> None:
    report = several([well("one")])
    arms = [f"{arm.name} alone" for arm in report.bundle.arms]
    assert len(arms) > 1
    stream = io.StringIO()
    Console(file=stream, width=100).print(devices_tables(report))
    table, page = stream.getvalue(), devices_page(report)
    for arm in ["progressive", *arms]:
        assert re.search(rf"{arm} +\d", table)
        assert f"one, {arm}: " in page


def test_of_embeddings_their_mean_cosine_has_room() -> None:
    edge = Edge(shape=(1, 16), layout="NC")
    found = several([well("one")]).model_copy(
        update={"output": Output(kind="embedding", edge=edge, metric="cosine")}
    )
    stream = io.StringIO()
    Console(file=stream, width=100).print(devices_tables(found))
    table = stream.getvalue().partition("warm start")[0]
    assert "latencies and mean cosine of the last stage" in table
    assert "peak RSS " in table
    page = devices_page(found)
    assert ">mean cosine to the teacher<" in page
    assert "top-1" not in page
