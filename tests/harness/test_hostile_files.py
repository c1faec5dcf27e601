"""The real harness on damaged deployments: refused by the unit's name, no crash, no hang."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.device.local import LocalDevice
from pipeline.harness.session import HarnessSession
from pipeline.toolchain.package import Package
from tests.fixtures import deployment_in


@pytest.fixture
def root(either_bundle: Bundle, tmp_path: Path) -> Path:
    """A deployment that is not checked by anybody but the harness."""
    shutil.copytree(either_bundle.root, tmp_path / "bundle")
    shutil.copytree(control_folder(either_bundle.root), tmp_path / "control")
    return tmp_path


@pytest.fixture
def start(
    root: Path, either_bundle: Bundle, harness_package: Package
) -> Callable[..., HarnessSession]:
    def start() -> HarnessSession:
        controls = open_controls(control_folder(either_bundle.root), either_bundle.manifest)
        deployment = deployment_in(root, harness_package, either_bundle.manifest, controls)
        return HarnessSession(LocalDevice(root / "work"), deployment, deadline_s=60)

    return start


@pytest.fixture
def unit(root: Path, either_bundle: Bundle) -> Path:
    """The deployed program of teacher-1."""
    return root / "bundle" / either_bundle.manifest.artifact("teacher-1").path


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        lambda path: path.write_bytes(path.with_stem("teacher-2").read_bytes()),
    ],
    ids=["cut", "empty", "longer", "missing", "folder", "flipped", "swapped"],
)
def test_a_damaged_unit_is_refused_by_name_while_the_stage_before_serves(
    damage: Callable[[Path], object], unit: Path, start: Callable[..., HarnessSession]
) -> None:
    damage(unit)
    with pytest.raises(IntegrityError, match="teacher-1"):
        start().progress("warm", 5)
    start().ttfi("pwl", "warm", 3)  # the student does not need that block


def test_flipped_weights_of_the_right_size_are_seen_by_their_sha256(
    unit: Path, start: Callable[..., HarnessSession]
) -> None:
    data = bytearray(unit.read_bytes())
    data[-200] ^= 0x10  # in the weights, which no format checks
    unit.write_bytes(data)
    for task in (start().accuracy, start().parity, lambda: start().progress("cold", 0)):
        with pytest.raises(IntegrityError, match="teacher-1: sha256 is"):
            task()


def test_a_damaged_control_is_refused_by_name(
    root: Path, start: Callable[..., HarnessSession]
) -> None:
    path = next((root / "control").glob("teacher.*"))
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


@pytest.mark.parametrize("name", ["measurement.plan", "bundle/loading.plan"])
def test_a_plan_cut_short_is_refused(
    name: str, root: Path, start: Callable[..., HarnessSession]
) -> None:
    session = start()
    plan = root / name
    plan.write_text(plan.read_text()[:-10])
    with pytest.raises(IntegrityError, match="invalid-plan"):
        session.accuracy()


def test_two_hundred_damaged_programs_are_refused_by_name(
    root: Path, start: Callable[..., HarnessSession]
) -> None:
    """Each ends in a message: no crash, no hang, no answer. Both runtimes crash on some of them."""
    draw = random.Random(1)
    session = start()
    units = sorted((root / "bundle/units").iterdir())
    for number in range(200):
        path = draw.choice(units)
        before = path.read_bytes()
        _DAMAGES[number % len(_DAMAGES)](path, draw, units)
        with pytest.raises(IntegrityError, match=f"{path.stem}: "):
            session.run("parity")
        if path.is_dir():
            path.rmdir()
        path.write_bytes(before)
    assert session.run("parity")


def _cut(path: Path, draw: random.Random, units: list[Path]) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))])


def _flip_head(path: Path, draw: random.Random, units: list[Path]) -> None:
    _flip(path, draw, 64)


def _flip_structure(path: Path, draw: random.Random, units: list[Path]) -> None:
    _flip(path, draw, 4096)


def _flip(path: Path, draw: random.Random, within: int) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, 4)):
        data[draw.randrange(min(len(data), within))] ^= 1 << draw.randrange(8)
    data[draw.randrange(min(len(data), within))] ^= 0xFF  # an even number of flips may undo itself
    path.write_bytes(data)


def _swap(path: Path, draw: random.Random, units: list[Path]) -> None:
    path.write_bytes(draw.choice([unit for unit in units if unit != path]).read_bytes())


def _foreign(path: Path, draw: random.Random, units: list[Path]) -> None:
    path.write_bytes(draw.randbytes(path.stat().st_size))


def _empty(path: Path, draw: random.Random, units: list[Path]) -> None:
    path.write_bytes(b"")


def _folder(path: Path, draw: random.Random, units: list[Path]) -> None:
    path.unlink()
    path.mkdir()


_DAMAGES = (_cut, _flip_head, _flip_structure, _swap, _foreign, _empty, _folder)


def test_a_whole_program_of_other_sizes_is_refused_though_the_plan_names_it(
    root: Path, unit: Path, start: Callable[..., HarnessSession]
) -> None:
    session = start()
    other = unit.with_stem("teacher-2")
    plan = root / "bundle" / "loading.plan"
    lines = plan.read_text().splitlines()
    described = next(line.split() for line in lines if line.startswith("artifact teacher-2"))
    wrong = next(line.split() for line in lines if line.startswith("artifact teacher-1"))
    changed = " ".join([*wrong[:3], *described[3:5], *wrong[5:]])
    plan.write_text(plan.read_text().replace(" ".join(wrong), changed))
    unit.write_bytes(other.read_bytes())
    with pytest.raises(IntegrityError, match="incompatible: teacher-1: reads"):
        session.run("parity")


def test_the_programs_of_the_other_backend_are_refused(
    root: Path,
    either_bundle: Bundle,
    harness_package: Package,
    start: Callable[..., HarnessSession],
) -> None:
    start()
    plan = root / "bundle" / "loading.plan"
    mine = either_bundle.manifest.backend.name
    other = "litert" if mine == "executorch" else "executorch"
    lines = [line for line in plan.read_text().splitlines() if not line.startswith("runtime ")]
    plan.write_text("\n".join([*lines, ""]).replace(f"backend {mine}", f"backend {other}"))
    backend = either_bundle.manifest.backend.model_copy(update={"name": other})
    manifest = either_bundle.manifest.model_copy(update={"backend": backend})
    deployment = deployment_in(root, harness_package, manifest)
    session = HarnessSession(LocalDevice(root / "work"), deployment, deadline_s=60)
    with pytest.raises(IntegrityError, match="student-0: not a whole program"):
        session.run("parity")


def test_a_backend_that_does_not_exist_is_refused(
    root: Path, either_bundle: Bundle, start: Callable[..., HarnessSession]
) -> None:
    session = start()
    plan = root / "bundle" / "loading.plan"
    mine = f"backend {either_bundle.manifest.backend.name}"
    plan.write_text(plan.read_text().replace(mine, "backend onnx"))
    with pytest.raises(DeviceError, match="no engine for onnx, but for executorch, litert"):
        session.run("parity")


def test_a_start_on_a_tmpfs_is_not_called_cold(
    either_bundle: Bundle, harness_package: Package
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("there is no tmpfs at /dev/shm")
    import tempfile

    from pipeline.harness.session import NotColdError

    with tempfile.TemporaryDirectory(dir=memory) as name:
        root = Path(name)
        shutil.copytree(either_bundle.root, root / "bundle")
        deployment = deployment_in(root, harness_package, either_bundle.manifest)
        session = HarnessSession(LocalDevice(root / "work"), deployment)
        with pytest.raises(NotColdError, match="stay in memory"):
            session.ttfi("pwl", "cold", 0)
        assert session.ttfi("pwl", "warm", 0).resident_pages > 0
