"""The real harness on damaged deployments: refused by the unit's name, no crash, no hang."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from pipeline.bundle.control import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.device.local import LocalDevice
from pipeline.errors import IntegrityError
from pipeline.harness.deploy import Deployment
from pipeline.harness.package import Package
from pipeline.harness.plan import plan_text
from pipeline.harness.session import HarnessSession


@pytest.fixture
def root(built_bundle: Bundle, tmp_path: Path) -> Path:
    """A deployment that is not checked by anybody but the harness."""
    shutil.copytree(built_bundle.root, tmp_path / "bundle")
    shutil.copytree(control_folder(built_bundle.root), tmp_path / "control")
    return tmp_path


@pytest.fixture
def start(
    root: Path, built_bundle: Bundle, harness_package: Package
) -> Callable[..., HarnessSession]:
    def start() -> HarnessSession:
        controls = open_controls(control_folder(built_bundle.root), built_bundle.manifest)
        (root / "plan").write_text(plan_text(built_bundle.manifest, controls))
        command = harness_package.command(PurePosixPath(harness_package.root.resolve()))
        deployment = Deployment(tuple(command), PurePosixPath(root / "plan"), 0, 0)
        return HarnessSession(LocalDevice(root / "work"), deployment, deadline_s=60)

    return start


UNIT = "bundle/units/teacher-1.pte"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        lambda path: path.write_bytes((path.parent / "teacher-2.pte").read_bytes()),
    ],
    ids=["cut", "empty", "longer", "missing", "folder", "flipped", "swapped"],
)
def test_a_damaged_unit_is_refused_by_name_while_the_stage_before_serves(
    damage: Callable[[Path], object], root: Path, start: Callable[..., HarnessSession]
) -> None:
    damage(root / UNIT)
    with pytest.raises(IntegrityError, match="teacher-1"):
        start().progress("warm", 5)
    start().ttfi("pwl", "warm", 3)  # the student does not need that block


def test_flipped_weights_of_the_right_size_are_seen_by_their_sha256(
    root: Path, start: Callable[..., HarnessSession]
) -> None:
    path = root / UNIT
    data = bytearray(path.read_bytes())
    data[-200] ^= 0x10  # in the weights, which no format checks
    path.write_bytes(data)
    for task in (start().accuracy, start().parity, lambda: start().progress("cold", 0)):
        with pytest.raises(IntegrityError, match="teacher-1: sha256 is"):
            task()


def test_a_damaged_control_is_refused_by_name(
    root: Path, start: Callable[..., HarnessSession]
) -> None:
    path = root / "control" / "teacher.pte"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\1\2\3")
    with pytest.raises(IntegrityError, match="teacher: sha256 is"):
        start().ttfi("teacher", "warm", 0)
    start().ttfi("student", "warm", 0)


@pytest.mark.parametrize("name", ["bundle/golden/inputs.f32", "bundle/eval/images.u8"])
def test_data_files_of_another_size_are_refused_by_name(
    name: str, root: Path, start: Callable[..., HarnessSession]
) -> None:
    (root / name).write_bytes((root / name).read_bytes()[:-1])
    session = start()
    with pytest.raises(IntegrityError, match=Path(name).name):
        session.parity() if "golden" in name else session.accuracy()


def test_a_plan_cut_short_is_refused(root: Path, start: Callable[..., HarnessSession]) -> None:
    session = start()
    plan = root / "plan"
    plan.write_text(plan.read_text()[:-10])
    with pytest.raises(IntegrityError, match="invalid-plan"):
        session.accuracy()


def test_random_damage_is_refused_by_name_and_never_reaches_the_runtime(
    root: Path, start: Callable[..., HarnessSession]
) -> None:
    """XNNPACK crashes on some damaged programs, so none may get there."""
    draw = random.Random(1)
    session = start()
    units = sorted((root / "bundle/units").glob("*.pte"))
    for _ in range(60):
        path = draw.choice(units)
        before = path.read_bytes()
        data = bytearray(before)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(min(len(data), 4096))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=f"{path.stem}: sha256 is"):
            session.accuracy()
        path.write_bytes(before)


def test_a_start_on_a_tmpfs_is_not_called_cold(
    built_bundle: Bundle, harness_package: Package
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("there is no tmpfs at /dev/shm")
    import tempfile

    from pipeline.harness.session import NotColdError

    with tempfile.TemporaryDirectory(dir=memory) as name:
        root = Path(name)
        shutil.copytree(built_bundle.root, root / "bundle")
        (root / "plan").write_text(plan_text(built_bundle.manifest, None))
        command = harness_package.command(PurePosixPath(harness_package.root.resolve()))
        deployment = Deployment(tuple(command), PurePosixPath(root / "plan"), 0, 0)
        session = HarnessSession(LocalDevice(root / "work"), deployment)
        with pytest.raises(NotColdError, match="stay in memory"):
            session.ttfi("pwl", "cold", 0)
        assert session.ttfi("pwl", "warm", 0).resident_pages > 0
