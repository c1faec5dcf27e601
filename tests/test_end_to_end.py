"""The commands, as a user calls them, on the tiny bundle: this machine and the loopback device."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.report.climb import choose_climb, runs_of
from pipeline.report.conclusions import conclusions_of
from pipeline.report.metric_names import expected_metrics
from pipeline.report.metric_samples import PARTS
from pipeline.report.render.perfetto import trace_of
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report
from pipeline.report.suspicion import REASON_IDS
from pipeline.toolchain.package import Package
from pipeline.workflows import measure_device
from pipeline.workflows.measure_device import ProfileOptions
from tests.fixtures import ROOT, TINY_PROFILE
from tests.report.traces import read_trace

#: Frames a second: many, so that the test need not wait for them.
FPS = 480


def run(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *(str(word) for word in words)]
    # The tests' own pipeline also where `cwd` is another folder and another checkout is installed.
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=env)


@pytest.fixture(scope="module", params=["local", "adb"])
def reported(
    request: pytest.FixtureRequest,
    either_bundle: Bundle,
    harness_package: Package,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of a report on the tiny bundle, and what the command printed."""
    folder = tmp_path_factory.mktemp("report")
    if request.param == "local":
        device = f"local:{tmp_path_factory.mktemp('device')}"
    else:
        device = request.getfixturevalue("loopback_device")
    done = run(
        *("pipeline.profile", either_bundle.root, "--device", device, "--rounds", 3),
        *("--out", folder / "out", "--harness", harness_package.root),
        *("--states", "cold,warm,cold-cached", "--fps", FPS),
    )
    assert done.returncode == 0, done.stderr
    return folder / "out", done


@pytest.fixture
def report(reported: tuple[Path, subprocess.CompletedProcess[str]]) -> Report:
    return load_report(reported[0] / "report.json")


def test_the_device_labels_as_the_host_does(report: Report, either_bundle: Bundle) -> None:
    assert [stage.route for stage in report.stages] == ["SSS", "TSS", "TTS", "TTT"]
    for stage in report.stages:
        assert stage.images == 40
        assert stage.differing <= 1
        assert stage.host_correct == either_bundle.manifest.evaluation.correct[stage.index]


def test_every_stage_and_control_passes_parity(report: Report) -> None:
    names = [result.name for result in report.parity]
    assert names == ["stage-0", "stage-1", "stage-2", "stage-3", "student", "teacher", "chain"]
    assert all(result.passed for result in report.parity)
    # Not zero: it was computed by another library in another process.
    assert any(result.max_rel for result in report.parity)


def test_every_sample_is_kept(report: Report) -> None:
    for arm in ("pwl", "student", "teacher", "chain"):
        for state in ("cold", "warm", "cold-cached"):
            assert len(report.metrics[f"ttfi_ms.{arm}.{state}"].samples) == 3
    assert len(report.runs.ttfi) == len(report.runs.progress) == 3
    assert sum(len(samples) for samples in report.runs.ttfi) == 3 * 12


def test_cold_starts_found_nothing_in_memory_and_read_everything(report: Report) -> None:
    for samples in report.runs.ttfi:
        for sample in samples:
            if sample.state != "warm":
                assert sample.resident_pages == 0
                assert sample.bytes_read > 0
            else:
                assert sample.resident_pages == sample.pages > 0


def test_only_cached_starts_have_weight_caches_and_their_size_is_reported(report: Report) -> None:
    for samples in report.runs.ttfi:
        for sample in samples:
            assert (sample.cache_bytes > 0) == (sample.state == "cold-cached")
    for arm in ("pwl", "student", "teacher", "chain", "all"):
        assert report.metrics[f"cache_bytes.{arm}.cold-cached"].median > 0


def test_the_phases_of_a_start_add_up_to_it(report: Report) -> None:
    phases = ("engine", "locate", "verify", "map", "parse", "prepare", "run0")
    for samples in report.runs.ttfi:
        for sample in samples:
            total = sum(getattr(sample, f"{phase}_ns") for phase in phases)
            assert 0 < total <= sample.ttfi_ns <= sample.process_ns


def test_progressive_runs_pass_through_every_stage_in_order(report: Report) -> None:
    runs = [*(sample for samples in report.runs.progress for sample in samples)]
    for sample in [*runs, *report.runs.paced]:
        assert [load.stage for load in sample.loads] == [0, 1, 2, 3]
        stages = list(sample.inferences.stage)
        assert stages == sorted(stages)
        assert stages[-1] == 3
    for sample in report.runs.paced:
        assert set(sample.inferences.stage) == {0, 1, 2, 3}


def test_frames_are_served_at_their_rate_while_stages_load(report: Report) -> None:
    assert report.context.options.fps == (FPS,)
    assert len(report.runs.served) == 3
    assert len(report.runs.served_paced) == report.context.options.paced
    for (sample,) in (*report.runs.served, *report.runs.served_paced):
        assert (sample.fps, sample.state) == (FPS, "warm")
        assert [load.stage for load in sample.loads] == [0, 1, 2, 3]
    for (sample,) in report.runs.served_paced:
        assert min(Counter(sample.inferences.stage).values()) >= sample.hold
    assert {name for name in expected_metrics(report) if "fps" in name} <= report.metrics.keys()
    assert f"final_over_teacher_ttfi.{FPS}fps" in report.ratios


def test_it_is_compared_with_the_student_alone_and_then_the_whole_teacher(report: Report) -> None:
    assert [sorted(run.state for run in runs) for runs in report.runs.two_step] == (
        [["cold", "cold-cached", "warm"]] * 3
    )
    sizes = {arm.name: arm.bytes for arm in report.bundle.arms}
    for run in (run for runs in report.runs.two_step for run in runs):
        assert [load.bytes for load in run.loads] == [sizes["student"], sizes["teacher"]]
        assert {*run.inferences.stage} == {0, 1}
    names = {name for name in expected_metrics(report) if name.startswith("two_step_")}
    assert len(names) == 4 * 3
    assert names <= report.metrics.keys()
    for kind in ("first", "final", "peak_rss"):
        assert f"{kind}_over_two_steps.cold" in report.ratios
    said = [sentence.text for sentence in conclusions_of(report).sentences]
    assert any("against loading the student, then the whole teacher" in text for text in said)


def test_it_is_compared_with_its_own_teacher_as_a_chain_that_is_loaded_in_parallel(
    report: Report, either_bundle: Bundle
) -> None:
    chain, final = report.bundle.arms[-1], either_bundle.manifest.stages[-1]
    programs = [either_bundle.manifest.artifact(unit) for unit in final.units]
    assert (chain.name, chain.route, chain.precision) == ("chain", "TTT", "fp32")
    assert chain.bytes == sum(program.bytes for program in programs)
    assert chain.host_top1 == final.accuracy.top1
    # The same programs, whoever loads them.
    logits = {(line.name, line.input): line.logits for line in report.runs.logits}
    for number in range(either_bundle.manifest.golden.images):
        assert logits["chain", number] == logits["stage-3", number]
    pages = {sample.state: sample.pages for sample in report.runs.ttfi[0] if sample.arm == "chain"}
    assert pages["cold"] >= chain.bytes / 65536  # of at most 64 KiB
    for state in ("cold", "warm", "cold-cached"):
        assert report.ratios[f"final_over_chain_ttfi.{state}"].rounds == 3
        assert {f"ttfi_over_chain.{state}", f"peak_rss_over_chain.{state}"} <= report.ratios.keys()
    assert "latency_final_over_chain" in report.ratios


def test_the_highest_memory_of_every_arm_is_told_apart(
    report: Report, either_bundle: Bundle
) -> None:
    assert [[sample.arm for sample in each] for each in report.runs.memory] == (
        [["pwl", "student", "teacher", "chain"]] * 3
    )
    for arm in ("pwl", "student", "teacher", "chain"):
        weights, workspaces, mappings, rest, whole = (
            report.metrics[f"peak_part_mb.{arm}.{part}"].median for part in PARTS
        )
        assert weights > 0
        assert min(workspaces, mappings) >= 0
        assert rest > 1  # the harness and the library
        assert whole == pytest.approx(weights + workspaces + mappings + rest, rel=0.01)
    for steps in (sample.steps for each in report.runs.memory for sample in each):
        loaded = {step.unit for step in steps if step.step == "load"}
        assert loaded == {step.unit for step in steps if step.step == "run"}
    (units,) = {
        frozenset(step.unit for step in each[0].steps if step.step == "load")
        for each in report.runs.memory
    }
    assert units == {entry.id for entry in either_bundle.manifest.artifacts}


def test_every_progressive_run_can_be_written_as_a_trace(report: Report) -> None:
    for run, rounds in runs_of(report).items():
        for number, sample in rounds.items():
            found = read_trace(trace_of(choose_climb(report, run, number), "tiny"))
            assert [s.duration for s in found["serving"] if s.name.startswith("inference")] == [
                *sample.inferences.duration_ns
            ]


def test_the_context_names_device_harness_and_state(report: Report) -> None:
    context = report.context
    assert context.device.abi == context.harness.abi
    assert re.match(r"executorch 1\.\d|litert 2\.\d", context.engine)
    assert context.before.memory_available_kb
    assert context.options.rounds == 3


def test_the_tables_fit_a_hundred_columns(
    reported: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    lines = reported[1].stdout.splitlines()
    assert any("TTT" in line for line in lines)
    tables = [line for line in lines if not line.startswith(str(reported[0]))]
    assert max(len(line) for line in tables) <= 100


def test_the_page_is_whole_and_needs_no_other_file(
    reported: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    page = (reported[0] / "report.html").read_text()
    for heading in ("Top-1 accuracy over time", "Arms side by side", "The climb", "Memory"):
        assert f">{heading}</h2>" in page
    assert page.count("<svg") == page.count("</svg>") > 8
    assert '<th scope="row">memory available</th>' in page
    assert "the harness ran on any of the cores" in page
    loaded = re.findall(r'(?:src|href)="(?!#|data:)([^"]+)"|url\((?!#)([^)]+)\)|@import', page)
    assert loaded == []
    assert len(page) < 2_000_000
    assert (reported[0] / "curve.svg").read_text().startswith("<svg")


def test_the_check_command_judges_it(
    reported: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    gates = tmp_path / "gates.toml"
    gates.write_text(
        f"allow = {json.dumps(REASON_IDS)}\n"
        '[[gate]]\nname = "parity"\nmetric = "parity_max_rel.*"\n'
        'at_most = 1e-4\nintegrity = true\n[[gate]]\nname = "size"\nmetric = "bundle_bytes"\n'
        "at_most = 1e6\n"
    )
    report = reported[0] / "report.json"
    junit, markdown = tmp_path / "junit.xml", tmp_path / "summary.md"
    outputs = ("--junit", junit, "--markdown", markdown)
    done = run("pipeline.check", report, "--gates", gates, *outputs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert junit.exists()
    assert markdown.exists()
    gates.write_text(gates.read_text().replace("at_most = 1e6", "at_most = 1"))
    assert run("pipeline.check", report, "--gates", gates).returncode == 1
    gates.write_text(gates.read_text().replace("at_most = 1e-4", "at_most = 1e-12"))
    assert run("pipeline.check", report, "--gates", gates).returncode == 4


def test_build_and_inspect_from_an_empty_folder(
    tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_PROFILE)
    shutil.copytree(tiny_cache, tmp_path / "build" / "cache")
    done = run("pipeline.build", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "dist/tiny is built" in done.stdout
    with monkeypatch.context() as environment:
        environment.setenv("PYTHONPROFILEIMPORTTIME", "1")
        again = run("pipeline.build", "tiny.toml", cwd=tmp_path)
    assert "dist/tiny is up to date" in again.stdout
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "pipeline.workflows.build_bundle" in imported
    assert not imported & {"torch", "executorch", "scipy", "matplotlib", "numpy", "rich"}
    assert "pipeline.bundle.manifest" not in imported
    again = run("pipeline.build", "tiny.toml", "--android", "out", cwd=tmp_path)
    assert "dist/tiny is up to date" in again.stdout
    assert "out: pwl_student (install-time), pwl_teacher (fast-follow)" in again.stdout
    assert (tmp_path / "out/pwl_teacher/src/main/assets/pwl/units/teacher-2.pte").exists()
    shown = run("pipeline.inspect", "dist/tiny", cwd=tmp_path)
    assert shown.returncode == 0
    assert "files verified" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= 100
    unit = tmp_path / "dist/tiny/units/encoder-0.pte"
    unit.write_bytes(unit.read_bytes()[:-1])
    damaged = run("pipeline.inspect", "dist/tiny", cwd=tmp_path)
    assert damaged.returncode == 4
    assert "units/encoder-0.pte" in damaged.stderr
    assert "Traceback" not in damaged.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pipeline.build", "none.toml"), 2, "none.toml: no such file"),
        (("pipeline.inspect", "none"), 2, "none: no such folder"),
        (("pipeline.profile", "none"), 2, "none: no such folder"),
        (("pipeline.check", "none.json", "--gates", "none.toml"), 2, "none.toml"),
    ],
)
def test_wrong_usage_ends_with_two_and_a_remedy(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "remedy:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("built_bundle", "litert_bundle")  # fill the cache
def test_one_training_run_gives_a_bundle_of_each_backend(tiny_cache: Path, tmp_path: Path) -> None:
    both = f'{TINY_PROFILE}\n[lowering]\nbackend = ["executorch", "litert"]\n'
    (tmp_path / "tiny.toml").write_text(both)
    shutil.copytree(tiny_cache, tmp_path / "build/cache")
    done = run("pipeline.build", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train teacher" not in done.stderr
    manifests = [
        open_bundle(tmp_path / f"dist/tiny-{name}").manifest for name in ("executorch", "litert")
    ]
    assert [manifest.backend.name for manifest in manifests] == ["executorch", "litert"]
    assert manifests[0].golden == manifests[1].golden
    assert manifests[0].evaluation == manifests[1].evaluation


def test_a_backend_on_the_command_line_overrides_the_profile_s(
    litert_bundle: Bundle, tiny_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_PROFILE)
    shutil.copytree(tiny_cache, tmp_path / "build" / "cache")
    done = run("pipeline.build", "tiny.toml", "--backend", "litert", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert open_bundle(tmp_path / "dist/tiny").manifest.id == litert_bundle.manifest.id
    wrong = run("pipeline.build", "tiny.toml", "--backend", "onnx", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "executorch, litert" in wrong.stderr


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--out", "is there already, and no folder"),
        ("--library", "it is opened for bundles of one backend, litert"),
    ],
)
def test_what_could_not_be_written_or_used_is_told_before_anything_is_measured(
    flag: str, said: str, built_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = (built_bundle.root, "--device", f"local:{tmp_path / 'device'}", flag, tmp_path / "file")
    done = run("pipeline.profile", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "device" / "bundles").exists()


def test_a_library_that_is_not_there_is_told_before_anything_is_built(
    litert_bundle: Bundle, tmp_path: Path
) -> None:
    options = ProfileOptions(
        device=f"local:{tmp_path / 'device'}", library=tmp_path / "none.so", work=tmp_path / "work"
    )
    with pytest.raises(UsageError, match=r"none\.so: no such file"):
        measure_device.measure(litert_bundle.root, options, Silent())
    assert not list(tmp_path.iterdir())


def test_bundles_that_would_overwrite_each_other_are_not_measured_together(
    built_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = built_bundle.manifest.model_copy(update={"id": "0" * 64})
    bundles = {Path("one"): built_bundle, Path("two"): replace(built_bundle, manifest=newer)}
    monkeypatch.setattr(measure_device, "open_bundle", bundles.__getitem__)
    monkeypatch.setattr(measure_device, "open_controls", lambda root, manifest: None)
    with pytest.raises(UsageError, match="overwrite each other on the device"):
        measure_device.measure_together([*bundles], ProfileOptions(device="local"), Silent())


def test_a_device_that_is_not_there_ends_with_three(built_bundle: Bundle, tmp_path: Path) -> None:
    words = ("pipeline.profile", built_bundle.root, "--device", "adb:127.0.0.1:1")
    done = run(*words, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["build", "check", "compare", "evaluate", "inspect", "profile", "trace", "train"]
)
def test_help_needs_none_of_the_slow_libraries(name: str) -> None:
    script = (
        "import sys, runpy\n"
        f"sys.argv = ['{name}', '--help']\n"
        "try: runpy.run_module('pipeline." + name + "', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'executorch', 'scipy', 'matplotlib', 'sklearn', 'numpy', 'adb_shell',\n"
        "        'pydantic', 'rich'}\n"
        "print('SLOW', sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert "SLOW []" in done.stdout
    assert "Usage" in done.stdout
    assert 80 < max(map(len, done.stdout.splitlines())) <= 100
