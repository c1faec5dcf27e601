"""Several reports in one check: all have to pass, and what is wrong with one stops no other."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.check import check
from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import DeviceError, UsageError
from pipeline.report.devices import DeviceResult
from tests.report.builder import DEVICE, around, metric, report
from tests.report.several import failed, several, well

GATES = """
[[gate]]
name = "fast"
metric = "time"
at_most = 11.0
[[gate]]
name = "no slower"
metric = "time"
over = "baseline"
at_most = 1.1
optional = true
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gates.toml").write_text(GATES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, milliseconds: float, **device: object) -> Path:
    """The report of a device that takes so long."""
    path = Path(name) / "report.json"
    path.parent.mkdir()
    said = report(
        {"time": metric(around(milliseconds))}, device={**DEVICE, "serial": name, **device}
    )
    path.write_text(said.to_json())
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(check, [*map(str, words), "--gates", "gates.toml"])


def test_several_reports_that_pass_end_with_zero() -> None:
    done = run(write("one", 10), write("other", 9))
    assert done.exit_code == 0
    assert "2 of 2 reports pass" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def test_one_that_fails_is_named_and_gives_the_status() -> None:
    done = run(write("one", 10), write("slow", 20))
    assert done.exit_code == 1
    *_, verdict, summary = (line for line in done.stdout.splitlines() if line.strip())
    assert verdict.split() == ["slow/report.json", "regression"]
    assert summary == "1 of 2 reports pass"


@pytest.mark.parametrize(
    ("text", "code", "word"), [("{", 4, "wrong results"), (None, 2, "wrong usage")]
)
def test_one_that_cannot_be_read_stops_no_other(text: str | None, code: int, word: str) -> None:
    if text is not None:
        Path("odd.json").write_text(text)
    done = run("odd.json", write("slow", 20), "--junit", "junit.xml", "--markdown", "summary.md")
    # A regression is graver than a file that is missing.
    assert done.exit_code == (code if code == 4 else 1)
    assert word in done.stdout
    assert "slow/report.json" in done.stdout
    suites = ElementTree.parse("junit.xml").getroot().findall("testsuite")
    assert [suite.get("errors") for suite in suites] == ["1", "0"]
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    assert Path("summary.md").read_text().startswith("# 0 of 2 reports pass")
    assert "## odd.json: " in Path("summary.md").read_text()


def test_a_report_alone_is_told_as_ever() -> None:
    done = run(write("one", 10), "--junit", "junit.xml", "--markdown", "summary.md")
    assert done.exit_code == 0
    assert "reports pass" not in done.stdout
    assert ElementTree.parse("junit.xml").getroot().tag == "testsuite"
    assert Path("summary.md").read_text().startswith("## tiny")
    missing = run("none.json")
    assert missing.exit_code == 2
    assert missing.stdout == ""
    assert "remedy: " in missing.stderr


def test_a_report_that_is_named_twice_is_wrong_usage() -> None:
    path = write("one", 10)
    done = run(path, f"one/../{path}")
    assert done.exit_code == 2
    assert "is given twice" in done.stderr


def test_each_report_is_compared_with_the_baseline_of_its_device() -> None:
    kinds = {"one": {"model": "Board"}, "other": {"model": "Phone"}}
    for name, kind in kinds.items():
        write(f"{name}-before", 8.0 if name == "one" else 9.9, **{**kind, "serial": name})
    reports = [write(name, 10.0, **kind) for name, kind in kinds.items()]
    before = [f"--baseline={name}-before/report.json" for name in kinds]
    done = run(*reports, *reversed(before))
    assert done.exit_code == 1
    assert [line.split()[-1] for line in done.stdout.splitlines() if "/report.json " in line] == [
        "regression",
        "pass",
    ]
    assert run(reports[1], *before).exit_code == 0


def test_a_device_without_a_baseline_of_its_kind_is_told() -> None:
    before = write("before", 10, model="Phone")
    done = run(write("one", 10), write("other", 10, model="Phone"), "--baseline", before)
    assert done.exit_code == 3
    assert "has device model 'Phone'" in " ".join(done.stdout.split())
    assert "1 of 2 reports pass" in done.stdout


def of(name: str, milliseconds: float) -> DeviceResult:
    """A device of devices.json whose report is there."""
    path = write(name, milliseconds)
    found = well(name).measured
    assert found is not None
    found = found.model_copy(update={"sha256": sha256_of(path)})
    return DeviceResult(name=name, outcome="measured", measured=found)


def all_devices(*results: DeviceResult) -> Path:
    Path("devices.json").write_text(several(results).to_json())
    return Path("devices.json")


def test_all_devices_stand_for_their_reports() -> None:
    done = run(all_devices(of("one", 10), of("slow", 20)))
    assert done.exit_code == 1
    assert "slow/report.json" in done.stdout
    assert "1 of 2 reports pass" in done.stdout


@pytest.mark.parametrize(
    ("error", "code"), [(DeviceError("gone", "plug it in"), 3), (UsageError("no", "mend it"), 2)]
)
def test_a_device_that_has_no_report_does_not_pass(
    error: DeviceError | UsageError, code: int
) -> None:
    done = run(all_devices(of("one", 10), failed("other", error)))
    assert done.exit_code == code
    assert f"it was not measured: {error.what}" in done.stdout
    assert f"remedy: {error.remedy}" in done.stdout
    assert "devices.json: other" in done.stdout


def test_a_report_that_was_replaced_since_is_not_judged_as_that_device_s() -> None:
    path = all_devices(of("one", 10), of("other", 10))
    Path("other/report.json").write_text(report({"time": metric(around(9.0))}).to_json())
    done = run(path)
    assert done.exit_code == 4
    assert "is not the report that devices.json is about" in " ".join(done.stdout.split())
    Path("other/report.json").unlink()
    assert run(path).exit_code == 2


def test_all_devices_of_a_release_are_baselines_of_the_next() -> None:
    before = all_devices(of("one", 10))
    after = write("after", 10.5)
    assert run(after, "--baseline", before).exit_code == 0
    assert run(write("late", 10.99), "--baseline", before).exit_code in (1, 5)
