"""Bundles that compute wrongly, all the way: `profile` writes the report and ends with 4."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.bundle.verify import open_bundle
from pipeline.check import check
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report
from pipeline.toolchain.package import Package
from tests.fixtures import ROOT
from tests.resealed import fill_with_nan, reseal
from tests.test_end_to_end import run


def profiled(bundle: Path, package: Package, folder: Path) -> CompletedProcess[str]:
    return run(
        *("pipeline.profile", bundle, "--device", f"local:{folder / 'device'}", "--rounds", 1),
        *("--out", folder / "report", "--harness", package.root, "--states", "warm"),
        *("--fps", "none"),
    )


def checked(report: Path, *words: object) -> int:
    gates = ROOT / "profiles" / "gates" / "ci.toml"
    command = [str(word) for word in (report, "--gates", gates, *words)]
    return CliRunner().invoke(check, command).exit_code


def give_nan(root: Path) -> None:
    fill_with_nan(root / open_bundle(root).manifest.artifact("teacher-2").path)


def expect_other_logits(root: Path) -> None:
    path = root / "golden" / "stage-1.f32"
    (np.fromfile(path, "<f4") * 1.01).astype("<f4").tofile(path)


def expect_other_labels(root: Path) -> None:
    path = root / "eval" / "predictions.u16"
    expected = np.fromfile(path, "<u2").reshape(4, -1)
    # Wrong before and wrong after: the counts of what is right stay as they are.
    labels = np.fromfile(root / "eval" / "labels.u16", "<u2")
    wrong = np.flatnonzero(expected[2] != labels)[:2]
    expected[2, wrong] = [
        next(k for k in range(10) if k not in pair)
        for pair in zip(expected[2, wrong], labels[wrong], strict=True)
    ]
    expected.tofile(path)


WRONG = {
    "stage-3: logits of golden inputs hold NaN": give_nan,
    "stage-1 deviates from eager PyTorch": expect_other_logits,
    "stage-2: 2 of 40 images are labeled otherwise": expect_other_labels,
}


@pytest.mark.parametrize("said", WRONG)
def test_profile_writes_an_invalid_report_and_ends_with_four(
    said: str, bundle_copy: Path, harness_package: Package, tmp_path: Path
) -> None:
    WRONG[said](bundle_copy)
    reseal(bundle_copy)
    done = profiled(bundle_copy, harness_package, tmp_path)
    assert done.returncode == 4, done.stderr
    assert said in done.stderr
    report: Report = load_report(tmp_path / "report" / "report.json")
    assert report.validity.verdict == "invalid"
    assert any(said in reason.text for reason in report.validity.reasons)
    assert "the numbers are invalid" in done.stdout
    page = (tmp_path / "report" / "report.html").read_text()
    assert '<span class="badge invalid">' in page
    assert checked(tmp_path / "report" / "report.json") == 4
    if WRONG[said] is give_nan:
        last = report.runs.predictions[-1]
        assert set(last.predictions) == {-1}  # no label, rather than that of the first logit
        assert "NaN FAIL" in page
        assert "NaN FAIL" in done.stdout
