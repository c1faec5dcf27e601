"""docs/tasks.md and embeddings.md show networks and profiles: they are built as they are."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle.contents import content_problems
from pipeline.bundle.verify import Bundle
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.progress import Silent
from pipeline.evaluation.label_scores import cosines
from pipeline.harness.embedding_cosines import EmbeddingCosines
from pipeline.ingest.intake import own_model
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateVerdict, judge
from pipeline.report.integrity import require_right_results, wrong_results
from pipeline.report.render.bundle_table import bundle_tables
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report, Validity
from pipeline.settings import (
    PrecisionPlan,
    PrecisionSettings,
    Settings,
    for_backend,
    with_precision,
)
from pipeline.toolchain.package import Package
from pipeline.workflows.build_bundle import Build, assemble
from pipeline.workflows.load_model import model_of
from pipeline.workflows.measure_device import ProfileOptions, measure, write_report
from tests.fixtures import ROOT, settings_from

PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("tasks", "embeddings")}
#: The pages' blocks of code by their language, the first of each page.
PYTHON, TOML, EMBEDDER, EMBEDDING = (
    re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0]
    for page in PAGES.values()
    for kind in ("python", "toml")
)
LAST = 'nn.Upsample(scale_factor=2, mode="bilinear")'
SMALL = "bundle = { golden_images = 2, evaluation_images = 30 }\n"


def scenes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of two squares on the ground, and label maps with a pixel without a label."""
    random = np.random.default_rng(seed)
    labels = np.zeros((count, 8, 8), np.uint8)
    for one in labels:
        for label, side in ((1, 4), (2, 3)):
            top, left = random.integers(0, 8 - side, 2)
            one[top : top + side, left : left + side] = label
    images = np.clip(labels * 90 + random.normal(20, 20, labels.shape), 0, 255).astype(np.uint8)
    labels[:, 0, 0] = 255
    return images, labels


def quantized(settings: Settings, plan: PrecisionPlan) -> Settings:
    """The same profile with a precision plan."""
    return with_precision(settings, PrecisionSettings().planned(plan))


def settings_in(folder: Path, last: str = LAST) -> Settings:
    """The page's profile, its data and its networks, whose classifier ends in a module."""
    (x_train, y_train), (x_test, y_test) = scenes(128, 0), scenes(40, 1)
    file = folder / "scenes.npz"
    np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    (folder / "segmenter.py").write_text(PYTHON.replace(LAST, last))
    # The backend that lowers in a third of the time; what is written is the same.
    return for_backend(settings_from(SMALL + TOML, folder), "litert")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("segmenter")
    settings = settings_in(folder)
    return assemble(settings, folder / "bundle", folder / "cache", Silent(), jobs=1)


def test_the_page_gives_a_bundle_of_label_maps(segmenter: Build) -> None:
    bundle: Bundle = segmenter.bundle  # open_bundle holds files against the manifest
    manifest = bundle.manifest
    output = manifest.model.output
    assert output is not None
    assert (output.kind, output.metric) == ("dense", "pixel_accuracy")
    assert (output.edge.shape, output.edge.layout) == ((1, 8, 8, 3), "NHWC")
    assert "classes 192" in (bundle.root / "loading.plan").read_text().splitlines()
    assert [stage.route for stage in manifest.stages][0 :: len(manifest.stages) - 1] == ["SS", "TT"]
    for stage in manifest.stages:
        assert stage.parity.max_rel <= manifest.golden.tolerance
    for arm in segmenter.controls.arms:
        assert arm.accuracy.pixels == 40 * 63


def test_what_the_manifest_says_of_its_stages_is_in_its_files(segmenter: Build) -> None:
    bundle = segmenter.bundle
    evaluation, stages = bundle.manifest.evaluation, bundle.manifest.stages
    labels = np.fromfile(bundle.root / evaluation.labels.path, np.uint8).reshape(30, 8, 8)
    given = np.fromfile(bundle.root / evaluation.predictions.path, np.uint8)
    for stage, row in zip(stages, given.reshape(-1, 30, 8, 8), strict=True):
        assert evaluation.correct[stage.index] == (row == labels).sum()
        assert stage.accuracy.mean_iou is not None
        assert 0 < stage.accuracy.mean_iou < 1
    # On every pixel the answers of golden images have the label that their predictions say.
    golden = np.fromfile(bundle.root / bundle.manifest.golden.outputs[-1].path, "<f4")
    labeled = golden.reshape(2, 8, 8, 3).argmax(axis=-1)
    assert (labeled == given.reshape(-1, 30, 8, 8)[-1, :2]).all()


def test_a_segmenter_gets_an_int8_student_where_it_is_as_good(segmenter: Build) -> None:
    folder = segmenter.out.parent
    settings = quantized(settings_in(folder), "auto")
    manifest = assemble(
        settings, folder / "int8", folder / "cache", Silent(), jobs=1
    ).bundle.manifest
    choice, first, last = manifest.schedule.precision, manifest.stages[0], manifest.stages[-1]
    assert choice is not None
    assert choice.taken == "S8->T32"
    assert manifest.artifact("student-1").precision == "dynamic_wi8_afp32"
    assert first.parity.sqnr_db is not None
    assert manifest.golden.least_sqnr_db is not None
    assert first.parity.sqnr_db > manifest.golden.least_sqnr_db
    assert first.accuracy.agreement is not None
    assert first.accuracy.agreement > 0.99
    assert (last.accuracy.agreement, last.accuracy.pixels) == (None, 40 * 63)


def measured(root: Path, harness: Package) -> Report:
    """One round on this machine."""
    options = ProfileOptions(
        device=f"local:{root.parent / 'device'}", states=("warm",), rounds=1, fps=()
    )
    return measure(root, replace(options, harness=harness.root), Silent())


@pytest.fixture(scope="module")
def report(segmenter: Build, harness_package: Package) -> Report:
    """One round on this machine."""
    return measured(segmenter.out, harness_package)


def test_a_device_judges_label_maps_as_the_host_does(segmenter: Build, report: Report) -> None:
    evaluation = segmenter.bundle.manifest.evaluation
    assert wrong_results(report) == []
    for stage in report.stages:
        assert (stage.images, stage.pixels) == (30, 30 * 63)
        assert abs(stage.correct - evaluation.correct[stage.index]) <= stage.differing
        assert stage.host_correct == evaluation.correct[stage.index]
        assert stage.differing <= 30 * 63 // 100
        assert report.metrics[f"accuracy.{stage.index}"].median == stage.correct / (30 * 63)
    final = report.stages[-1]
    assert report.metrics["mean_iou.final"].median == final.mean_iou == np.mean(final.iou)
    assert report.metrics["accuracy_minus_host_low.final"].median > -0.01


def test_tables_and_page_say_what_accuracy_is(segmenter: Build, report: Report) -> None:
    write_report(report, segmenter.out.parent)
    page = (segmenter.out.parent / "report.html").read_text()
    assert "Of labeled pixels; intervals are by images" in page
    assert f"mean IoU {report.stages[-1].mean_iou:.1%}" in page
    assert "pixels unlike host" in page


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"hits": [', '"hits": [1', "several numbers of pixels"),
        ('"right": [', '"right": [0, ', "several numbers of images"),
        ('"lost": 0, ', '"lost": 1, ', None),
        ('"stage": 0, "there"', '"stage": 1, "there"', "not of all in order"),
    ],
)
def test_counts_that_were_edited_are_not_judged(
    old: str, new: str, words: str | None, report: Report, tmp_path: Path
) -> None:
    text = report.to_json()
    assert old in text
    (tmp_path / "report.json").write_text(text.replace(old, new, 1))
    if words is None:  # the report is whole, and what it says is that results are wrong
        (wrong,) = wrong_results(load_report(tmp_path / "report.json"))
        assert "logits of 1 of 30 evaluation images hold NaN or infinity" in wrong
        return
    with pytest.raises(IntegrityError) as error:
        load_report(tmp_path / "report.json")
    assert words in error.value.what


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ("nn.Identity()", "give maps of 4 x 4 pixels, the label maps of the data are 8 x 8"),
        ("nn.Flatten()", "the teacher's classifier returns [2, 48] for 2 images"),
        ("nn.Conv2d(3, width, 1), nn.Upsample(scale_factor=2)", "teacher answers [12, 8, 8] and"),
    ],
)
def test_networks_that_answer_otherwise_are_refused_before_training(
    last: str, words: str, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, last)
    with pytest.raises(UsageError) as error:
        model_of(settings, tmp_path, Silent())
    assert words in error.value.what


def test_a_segmenter_without_the_task_is_told_of_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(UsageError) as error:
        own_model(settings.model, 0, None, Silent())
    assert 'kind = "dense"' in error.value.remedy


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("embedder")
    np.savez(folder / "images.npz", x_train=scenes(128, 0)[0], x_test=scenes(40, 1)[0])
    (folder / "embedder.py").write_text(EMBEDDER)
    settings = for_backend(settings_from(SMALL + EMBEDDING, folder), "litert")
    return assemble(settings, folder / "bundle", folder / "cache", Silent(), jobs=1)


def test_the_page_gives_a_bundle_of_embeddings(embedder: Build) -> None:
    manifest = embedder.bundle.manifest
    output = manifest.model.output
    assert output is not None
    assert (output.kind, output.metric, output.edge.shape) == ("embedding", "cosine", (1, 16))
    first, *_, final = (stage.accuracy for stage in manifest.stages)
    assert final.top1 == 1
    assert 0 < first.top1 < 1
    assert first.low <= first.top1 <= first.high
    assert (final.correct, final.recall) == (None, ())
    assert {arm.name: arm.accuracy.top1 for arm in embedder.controls.arms} == {
        "student": first.top1,
        "teacher": 1,
    }


def test_cosines_of_embeddings_are_those_of_their_files(embedder: Build) -> None:
    bundle = embedder.bundle
    evaluation, stages = bundle.manifest.evaluation, bundle.manifest.stages
    wanted = np.fromfile(bundle.root / evaluation.labels.path, "<f4").reshape(30, 16)
    given = np.fromfile(bundle.root / evaluation.predictions.path, "<f4").reshape(-1, 30, 16)
    np.testing.assert_array_equal(given[-1], wanted)
    lengths = np.linalg.norm(given[0], axis=1) * np.linalg.norm(wanted, axis=1)
    cosine = ((given[0] * wanted).sum(axis=1) / lengths).mean()
    assert cosine == pytest.approx(stages[0].accuracy.top1, abs=0.05)  # of 30 images and of 40


def test_embeddings_of_other_images_are_no_teacher_s(embedder: Build, tmp_path: Path) -> None:
    bundle = embedder.bundle
    shutil.copytree(bundle.root, tmp_path, dirs_exist_ok=True)
    assert list(content_problems(tmp_path, bundle.manifest)) == []
    file = tmp_path / bundle.manifest.evaluation.labels.path
    np.fromfile(file, "<f4").reshape(30, 16)[::-1].tofile(file)
    problems = list(content_problems(tmp_path, bundle.manifest))
    assert "stage 2: a mean cosine of 0." in problems[-1]
    assert problems[-1].endswith("but 1.000000 is said of all 40 test images")


def test_files_of_embeddings_are_read_once_and_vectors_without_a_direction_are_told(
    embedder: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = embedder.bundle
    shutil.copytree(bundle.root, tmp_path, dirs_exist_ok=True)
    read, read_bytes = Counter[str](), Path.read_bytes

    def counted(path: Path) -> bytes:
        read[path.name] += 1
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert list(content_problems(tmp_path, bundle.manifest)) == []
    assert {*read.values()} == {1}
    file = tmp_path / bundle.manifest.evaluation.predictions.path
    values = np.fromfile(file, "<f4")
    values[3] = np.nan
    values.tofile(file)
    (problem,) = content_problems(tmp_path, bundle.manifest)
    assert problem == f"{bundle.manifest.evaluation.predictions.path}: some values are not finite"


def test_the_table_of_a_bundle_says_that_it_gives_embeddings(embedder: Build) -> None:
    shown = "".join(str(line) for line in bundle_tables(embedder.bundle.manifest).renderables)
    assert "an embedding, judged by mean cosine to the teacher" in shown


@pytest.fixture(scope="module")
def nearness(embedder: Build, harness_package: Package) -> Report:
    """One round of the embedder on this machine."""
    return measured(embedder.out, harness_package)


def test_a_device_judges_embeddings_as_the_host_does(embedder: Build, nearness: Report) -> None:
    bundle = embedder.bundle
    evaluation = bundle.manifest.evaluation
    wanted = np.fromfile(bundle.root / evaluation.labels.path, "<f4").reshape(30, 16)
    given = np.fromfile(bundle.root / evaluation.predictions.path, "<f4").reshape(-1, 30, 16)
    assert wrong_results(nearness) == []
    for stage, row in zip(nearness.stages, given, strict=True):
        assert (stage.images, stage.correct, stage.differing) == (30, None, 0)
        assert stage.host_cosine == pytest.approx(cosines(row, wanted).mean(), abs=1e-9)
        assert stage.top1 == pytest.approx(stage.host_cosine, abs=1e-4)
        metric = nearness.metrics[f"accuracy.{stage.index}"]
        assert (metric.unit, metric.median) == ("cosine", stage.top1)
    assert nearness.metrics["accuracy.final"].median > 0.9999
    assert nearness.stages[0].top1 < 0.9999
    assert {result.name for result in nearness.parity if (result.cosine or 0) > 0.9999} == {
        *(f"stage-{stage.index}" for stage in nearness.stages),
        *("student", "teacher", "chain"),
    }


def test_an_embedder_in_int8_is_held_against_its_own_noise(
    embedder: Build, harness_package: Package
) -> None:
    folder = embedder.out.parent
    settings = quantized(settings_from(SMALL + EMBEDDING, folder), "S8->T8")
    settings = for_backend(settings, "litert")
    build = assemble(settings, folder / "int8", folder / "cache", Silent(), jobs=1)
    final = build.bundle.manifest.stages[-1].accuracy
    assert final.agreement is not None
    assert final.agreement > 0.99
    assert final.top1 == pytest.approx(final.agreement, abs=1e-6)  # the teacher is eager PyTorch's
    report = measured(build.out, harness_package)
    assert wrong_results(report) == []
    assert [stage.host_agreement for stage in report.stages] == [
        stage.accuracy.agreement for stage in build.bundle.manifest.stages
    ]
    assert report.metrics["parity_over_tolerance.stage-0"].median < 1


def test_gates_and_the_page_of_embeddings(nearness: Report, tmp_path: Path) -> None:
    write_report(nearness, tmp_path)
    assert "Answers are embeddings: a mean cosine of 1" in (tmp_path / "report.html").read_text()
    assert ">mean cosine<" in (tmp_path / "report.html").read_text()
    assert ">mean cosine to the teacher<" in (tmp_path / "curve.svg").read_text()
    for least, verdict in ((0.999, GateVerdict.PASS), (1.1, GateVerdict.REGRESSION)):
        gate = Gate(name="near", metric="accuracy.final", at_least=least)
        results = judge(GateFile(gate=(gate,)), nearness, None)
        assert {result.verdict for result in results if result.gate is gate} == {verdict}


@pytest.mark.parametrize(
    ("lost", "cosine", "words"),
    [
        (1, None, "1 of 30 embeddings hold NaN or infinity"),
        (0, -1.0, "the mean cosine to the teacher's embeddings is"),
    ],
)
def test_other_cosines_than_the_hosts_are_wrong(
    lost: int, cosine: float | None, words: str, nearness: Report, tmp_path: Path
) -> None:
    first, *_ = nearness.runs.embeddings
    line = EmbeddingCosines(stage=0, cosines=(cosine, *first.cosines[1:]), lost=lost)
    text = json.loads(nearness.to_json())
    text["runs"]["embeddings"][0] = line.model_dump(mode="json")
    file = tmp_path / "report.json"
    file.write_text(json.dumps(text))
    with pytest.raises(IntegrityError, match="another mean cosine than stages say"):
        load_report(file)
    text["stages"][0] |= {"top1": float(np.mean(line.values)), "low": -1.0, "high": 1.0}
    text["metrics"] = {k: v for k, v in text["metrics"].items() if not k.startswith("accuracy")}
    file.write_text(json.dumps(text))
    report = load_report(file)
    assert any(words in wrong for wrong in wrong_results(report))
    with pytest.raises(IntegrityError):
        require_right_results(
            report.model_copy(update={"validity": Validity(verdict="invalid", reasons=())}), file
        )
