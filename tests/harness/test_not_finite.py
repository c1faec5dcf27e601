"""The real harness on programs that give NaN: told as such, of both engines, and never a label."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core.errors import IntegrityError
from pipeline.device.local import LocalDevice
from pipeline.harness.samples import NO_LABEL, is_finite
from pipeline.harness.session import HarnessSession
from pipeline.toolchain.package import Package
from tests.fixtures import deployment_in
from tests.resealed import fill_with_nan, reseal


@pytest.fixture
def session(either_bundle: Bundle, harness_package: Package, tmp_path: Path) -> HarnessSession:
    """Of a deployment whose last stage gives NaN, and nothing else does."""
    root = tmp_path / "bundle"
    shutil.copytree(either_bundle.root, root)
    shutil.copytree(control_folder(either_bundle.root), control_folder(root))
    (tmp_path / "control").symlink_to(control_folder(root))
    fill_with_nan(root / either_bundle.manifest.artifact("teacher-2").path)
    manifest = reseal(root).manifest
    controls = open_controls(control_folder(root), manifest)
    deployment = deployment_in(tmp_path, harness_package, manifest, controls)
    return HarnessSession(LocalDevice(tmp_path / "work"), deployment, deadline_s=60)


def test_only_the_programs_that_give_nan_have_no_logits(session: HarnessSession) -> None:
    lines = session.parity()
    assert {line.name for line in lines if not is_finite(line.logits)} == {
        *("stage-3", "chain")  # the same programs
    }


def test_images_without_a_label_are_told_apart_from_the_first_label(
    session: HarnessSession,
) -> None:
    by_stage = {line.stage: set(line.predictions) for line in session.accuracy()}
    assert by_stage[3] == {NO_LABEL}
    assert all(NO_LABEL not in by_stage[stage] for stage in range(3))


def test_some_images_are_the_first_ones(session: HarnessSession) -> None:
    some, whole = session.accuracy(5), session.accuracy(1000)
    assert len(whole[0].predictions) == 40
    assert [line.predictions for line in some] == [line.predictions[:5] for line in whole]


@pytest.mark.parametrize("task", ["parity", "accuracy"])
def test_the_tasks_themselves_fail(task: str, session: HarnessSession) -> None:
    with pytest.raises(IntegrityError, match=r"not-finite: .*stage-3: logits of"):
        session.run(task)
