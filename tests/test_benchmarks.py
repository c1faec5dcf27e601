"""What benchmarks/ makes of reports that are there: tables, bars, a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import cluster
from benchmarks.backends import side_by_side
from benchmarks.models import networks
from benchmarks.size_bars import BARS, print_size_bars
from benchmarks.size_bundles import SIZES, BuildCost, profile_with_images
from benchmarks.size_tables import Measured, kept, markdown, put_into_page
from benchmarks.soak import faults_of
from pipeline.core.errors import UsageError
from pipeline.report.schema import Ratio
from tests.fixtures import ROOT
from tests.report.lifelike import lifelike

COST = BuildCost(seconds=1075.7, cpu_seconds=387.3, peak_mb=5825.9)


def measured(name: str, ratio: float = 0.5) -> Measured:
    """A report with every ratio that has a bar."""
    report = lifelike(more_arms=["teacher8"])
    names = [name for bar in BARS for name in bar.names]
    one = Ratio(numerator="a", denominator="b", median=ratio, low=ratio, high=ratio, rounds=3)
    return Measured(name, report.model_copy(update={"ratios": dict.fromkeys(names, one)}), COST)


def test_the_tables_have_a_row_for_each_size_and_fit_into_a_page() -> None:
    found = [measured(name) for name in SIZES]
    text = markdown(found)
    assert max(map(len, text.splitlines())) <= 100
    for size in SIZES.values():
        assert text.count(f"\n| {size.title}, ET |") == 4  # of one start state


def test_tables_take_their_place_in_a_page_and_no_other(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- sizes -->\nold\n<!-- /sizes -->\nafter\n")
    put_into_page("sizes", page, "new\n")
    put_into_page("sizes", page, "newer\n")
    assert page.read_text() == "before\n<!-- sizes -->\nnewer\n<!-- /sizes -->\nafter\n"
    with pytest.raises(UsageError, match="no place for tables"):
        put_into_page("peers", page, "new\n")


def test_both_backends_stand_side_by_side_in_a_page() -> None:
    ours = lifelike(more_arms=["teacher8", "chain"])
    executorch, litert = (
        ours.model_copy(update={"context": ours.context.model_copy(update={"engine": engine})})
        for engine in ("executorch 1.5.1", "litert 2.3.0")
    )
    text = side_by_side(executorch, litert)
    assert "| milliseconds, MB | ExecuTorch 1.5.1 | LiteRT 2.3.0 | ratio |" in text
    assert "| first answer, PWL * | 10.0 / - / 5.00 | 10.0 / - / 5.00 | 1.00 / - / 1.00 |" in text
    for arm in ("int8 teacher alone", "teacher's blocks in parallel"):
        assert f"| first answer, {arm} * | 500 / - / 250 | 500 / - / 250 |" in text
    assert "| first answer, int8 student alone * | - / - / - |" in text
    assert "| steady latency, last stage | 2.00 | 2.00 | 1.00 [1.00-1.00] |" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "SSS 85.00%, TSS 90.00%, TTS 94.00%, TTT 95.00%." in text.replace("\n", " ")
    better = executorch.stages[0].model_copy(update={"top1": 0.86})
    other = executorch.model_copy(update={"stages": (better, *executorch.stages[1:])})
    assert "ExecuTorch 1.5.1 SSS 86.00%" in side_by_side(other, litert).replace("\n", " ")


def test_a_missed_bar_is_told_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    print_size_bars([measured("demo", 0.01), measured("paper-vgg", 9)])
    assert "MISSED" not in (cleared := capsys.readouterr().out)
    limited = [bar for bar in BARS if bar.limits]
    assert cleared.count("cleared") == len(limited) < len(BARS)
    assert "the same int8 student" in " ".join(cleared.split())
    print_size_bars([measured("vit-b16", 9)])
    missed = capsys.readouterr().out
    assert missed.count("MISSED") == missed.count("\n- ViT-B/16, ET, ") == len(limited)


def test_images_that_were_kept_are_made_anew_where_a_size_has_others_now(tmp_path: Path) -> None:
    images = tmp_path / "demo.npz"
    np.savez(images, x_train=np.zeros((2, 8, 8, 1), np.uint8))
    profile_with_images("demo", tmp_path)
    with np.load(images) as arrays:
        assert arrays["x_train"].shape[1:] == arrays["x_test"].shape[1:] == SIZES["demo"].shape
    made = images.stat().st_mtime_ns
    profile_with_images("demo", tmp_path)
    assert images.stat().st_mtime_ns == made


def test_where_nothing_was_kept_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no reports"):
        kept(tmp_path)


@pytest.mark.parametrize(
    ("make", "teacher_mb", "student_mb"),
    [
        (networks.demo, 21.4, 1.4),
        (networks.mobilenet_v2, 14.0, 6.7),
        (networks.paper_vgg, 58.9, 15.7),
        (networks.resnet50, 102.2, 4.1),
        (networks.vit_b16, 346.3, 22.9),
    ],
)
def test_the_networks_are_as_large_as_they_are_said_to_be(
    make: object, teacher_mb: float, student_mb: float
) -> None:
    with torch.device("meta"):
        given = make()
    sizes = [networks.parameters(each) * 4 / 1e6 for each in (given.teacher, given.student)]
    assert [round(size, 1) for size in sizes] == [teacher_mb, student_mb]


def test_the_curve_of_a_cluster_is_of_medians_and_has_its_place_in_the_page(tmp_path: Path) -> None:
    runs = [
        cluster.ClusterRun(workers, state, 11, wall / workers, 30.0, 5.0)
        for wall in (40.0, 50.0, 90.0)
        for workers in cluster.WORKERS
        for state in cluster.STATES
    ]
    text = cluster.markdown(runs, "litert", "a machine", "2026-01-02")
    assert (
        "| 11 units of the demo, litert; medians of 3 rounds | 1 worker | 2 workers | 1 / 2 |"
        in text
    )
    assert "| workers that were just started, seconds | 50.0 | 25.0 | 2.00 |" in text
    page = tmp_path / "cluster.md"
    page.write_text((ROOT / "docs" / "cluster.md").read_text())
    put_into_page("cluster", page, text)
    assert text in page.read_text()


def test_a_soak_finds_what_grows_and_not_what_was_open_for_a_moment() -> None:
    held = {"descriptors": 6, "threads": 2, "allocated_kb": 600, "rss_kb": 12_000}
    samples = [dict(held) for _ in range(100)]
    samples[95]["descriptors"] = 7
    assert faults_of(samples) == []
    for sample in samples[60:]:
        sample["descriptors"] = 7
    assert faults_of(samples) == ["descriptors grew from 6 to 7"]
    assert faults_of(samples[:4]) == ["too short a run to judge"]
