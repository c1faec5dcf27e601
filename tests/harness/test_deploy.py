from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.bundle.control import Controls
from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_bundle, open_controls
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.progress import Silent
from pipeline.device.base import Completed, Device
from pipeline.device.connect import connect
from pipeline.harness.chain_arm import arm_names_of, chain_arm
from pipeline.harness.deploy import Installation, deploy
from pipeline.harness.measurement_plan import measurement_plan
from pipeline.harness.placement import Payload
from pipeline.harness.session import HarnessSession
from pipeline.toolchain.package import Package


@pytest.fixture(params=["local", "adb"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    if request.param == "local":
        spec = f"local:{tmp_path / 'device'}"
    else:
        spec = request.getfixturevalue("loopback_device")
    with connect(spec) as connected:
        # The loopback device is everybody's: what other tests left there is none of ours.
        connected.run(["rm", "-rf", str(connected.workdir / "bundles")], deadline_s=30)
        yield connected


@pytest.fixture
def controls(either_bundle: Bundle) -> Controls:
    return open_controls(control_folder(either_bundle.root), either_bundle.manifest)


def bring(device: Device, package: Package, bundle: Bundle, controls: Controls) -> Installation:
    payload = Payload(bundle, controls, control_folder(bundle.root))
    return deploy(device, package, [payload], Silent())


def plan_of(installation: Installation) -> PurePosixPath:
    return installation.deployments[0].plan


def suffix(bundle: Bundle) -> str:
    return Path(bundle.manifest.artifacts[0].path).suffix


def names(device: Device) -> set[str]:
    done = device.run(["find", str(device.workdir / "bundles"), "-type", "f"], deadline_s=30)
    return {Path(line).name for line in done.stdout.decode().splitlines()}


def test_a_deployed_harness_runs(
    device: Device, harness_package: Package, either_bundle: Bundle, controls: Controls
) -> None:
    installation = bring(device, harness_package, either_bundle, controls)
    assert installation.pushed > 0
    info = HarnessSession(device, installation.deployments[0]).info()
    assert info.abi == harness_package.description.abi


def test_a_second_deployment_pushes_nothing(
    device: Device, harness_package: Package, either_bundle: Bundle, controls: Controls
) -> None:
    bring(device, harness_package, either_bundle, controls)
    again = bring(device, harness_package, either_bundle, controls)
    assert (again.pushed, again.pushed_bytes) == (0, 0)


def test_only_what_was_damaged_on_the_device_is_pushed_again(
    device: Device, harness_package: Package, either_bundle: Bundle, controls: Controls
) -> None:
    first = bring(device, harness_package, either_bundle, controls)
    unit = plan_of(first).parent / "bundle" / "units" / f"teacher-1{suffix(either_bundle)}"
    device.run(["sh", "-c", f"echo damage >> {unit}"], deadline_s=30)
    again = bring(device, harness_package, either_bundle, controls)
    assert again.pushed == 1


def test_what_an_earlier_bundle_left_is_removed(
    device: Device, harness_package: Package, either_bundle: Bundle, controls: Controls
) -> None:
    first = bring(device, harness_package, either_bundle, controls)
    stale = plan_of(first).parent / "bundle" / "units" / f"teacher-9{suffix(either_bundle)}"
    device.run(["sh", "-c", f"echo stale > {stale}"], deadline_s=30)
    bring(device, harness_package, either_bundle, controls)
    assert f"teacher-9{suffix(either_bundle)}" not in names(device)
    assert f"teacher-1{suffix(either_bundle)}" in names(device)


def test_bundles_of_both_backends_run_in_either_order(
    device: Device, harness_package: Package, built_bundle: Bundle, litert_bundle: Bundle
) -> None:
    """What one of them has is not stale for the other: libLiteRt.so, weight caches, controls."""
    payloads = [
        Payload(bundle, open_controls(control_folder(bundle.root), bundle.manifest), root)
        for bundle in (litert_bundle, built_bundle)
        for root in [control_folder(bundle.root)]
    ]
    for order in (payloads, payloads[::-1]):
        installation = deploy(device, harness_package, order, Silent())
        sessions = [HarnessSession(device, one) for one in installation.deployments]
        engines = [session.info().engine.partition(" ")[0] for session in sessions]
        assert engines == [payload.bundle.manifest.backend.name for payload in order]
        for session in sessions:
            session.install()
    again = deploy(device, harness_package, payloads, Silent())
    assert again.pushed == 0
    caches = device.run(
        ["find", str(device.workdir / "caches"), "-name", "*.xnnpack"], deadline_s=30
    )
    programs = {
        program.sha256
        for payload in payloads
        for program in (
            *payload.bundle.manifest.artifacts,
            *(arm.program for arm in payload.controls.arms),
        )
    }
    assert len(caches.stdout.splitlines()) == len(programs)


@pytest.mark.parametrize("mode", ["644", "000"])
def test_a_program_that_may_not_be_executed_any_more_is_repaired(
    device: Device, harness_package: Package, built_bundle: Bundle, mode: str
) -> None:
    controls = open_controls(control_folder(built_bundle.root), built_bundle.manifest)
    first = bring(device, harness_package, built_bundle, controls)
    (program,) = [one for one in first.deployments[0].command if one.endswith("pwl_harness")]
    loader = first.deployments[0].command[0]
    assert device.run(["chmod", mode, program, loader], deadline_s=30).returncode == 0
    again = bring(device, harness_package, built_bundle, controls)
    assert again.pushed == len({program, loader})
    assert HarnessSession(device, again.deployments[0]).info()


def test_a_program_that_can_never_be_executed_there_is_told(
    device: Device,
    harness_package: Package,
    built_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on storage that is mounted noexec."""
    controls = open_controls(control_folder(built_bundle.root), built_bundle.manifest)
    monkeypatch.setattr("pipeline.harness.push.not_executable", lambda device, paths: {*paths})
    with pytest.raises(DeviceError, match="cannot be executed") as caught:
        bring(device, harness_package, built_bundle, controls)
    assert "noexec" in caught.value.remedy


#: Put in the place of a file or of its folder: $2 and $1.
INTRUDERS = {
    "folder for a file": 'rm "$1/$2"; mkdir "$1/$2"; touch "$1/$2/x"',
    "link for a file": 'mv "$1/$2" "$1/../elsewhere"; ln -s "$1/../elsewhere" "$1/$2"',
    "link for a folder": 'mv "$1/bundle" "$1/../elsewhere"; ln -s "$1/../elsewhere" "$1/bundle"',
    "link for all": 'mv "$1" "$1/../elsewhere"; ln -s "$1/../elsewhere" "$1"',
    "file for a folder": 'rm -r "$1/bundle"; touch "$1/bundle"',
    "file for all": 'rm -r "$1"; touch "$1"',
    "pipe": 'rm "$1/$2"; mkfifo "$1/$2"',
    "odd names": """touch "$1/a
b" "$1/-rf" "$1/ "; mkdir "$1/empty" """,
}


@pytest.mark.parametrize("intruder", INTRUDERS.values(), ids=INTRUDERS.keys())
def test_what_is_in_the_place_of_a_file_or_folder_is_replaced(
    tmp_path: Path, harness_package: Package, built_bundle: Bundle, intruder: str
) -> None:
    device = connect(f"local:{tmp_path}")
    controls = open_controls(control_folder(built_bundle.root), built_bundle.manifest)
    home = plan_of(bring(device, harness_package, built_bundle, controls)).parent
    elsewhere = home.parent / "elsewhere"
    done = device.run(["sh", "-ec", intruder, "sh", str(home), "measurement.plan"], deadline_s=30)
    assert done.returncode == 0, done.stderr
    before = listing(device, elsewhere)
    again = bring(device, harness_package, built_bundle, controls)
    assert HarnessSession(device, again.deployments[0]).parity()
    assert listing(device, elsewhere) == before
    links = device.run(["find", str(home), "-type", "l"], deadline_s=30)
    assert (links.returncode, links.stdout) == (0, b"")


def listing(device: Device, folder: PurePosixPath) -> bytes:
    script = '[ ! -e "$1" ] || find "$1" -type f -exec sha256sum {} +'
    return device.run(["sh", "-c", script, "sh", str(folder)], deadline_s=30).stdout


def test_what_changes_on_the_device_after_it_was_deployed_is_seen(
    device: Device, harness_package: Package, built_bundle: Bundle
) -> None:
    """The images and their size stay right, so that nothing else would see it."""
    controls = open_controls(control_folder(built_bundle.root), built_bundle.manifest)
    installation = bring(device, harness_package, built_bundle, controls)
    installation.require_unchanged(device)
    images = plan_of(installation).parent / "bundle" / built_bundle.manifest.evaluation.images.path
    spoil = f"printf X | dd of={images} conv=notrunc 2>/dev/null"
    assert device.run(["sh", "-c", spoil], deadline_s=30).returncode == 0
    with pytest.raises(IntegrityError, match=r"1 files? changed .*images\.u8"):
        installation.require_unchanged(device)


@pytest.mark.parametrize("change", ["bundle/loading.plan threads", "measurement.plan verify"])
def test_a_harness_whose_plan_was_replaced_gives_no_samples(
    change: str, device: Device, harness_package: Package, built_bundle: Bundle
) -> None:
    controls = open_controls(control_folder(built_bundle.root), built_bundle.manifest)
    deployment = bring(device, harness_package, built_bundle, controls).deployments[0]
    path, key = change.split()
    other = {"threads": "threads 2", "verify": "verify sha256"}[key]
    edit = f"sed -i 's/^{key} .*/{other}/' {deployment.plan.parent / path}"
    assert device.run(["sh", "-c", edit], deadline_s=30).returncode == 0
    session = HarnessSession(device, deployment)
    for task in (session.info, session.accuracy, lambda: session.ttfi("pwl", "warm", 0)):
        with pytest.raises(IntegrityError, match="measured something else than was deployed"):
            task()


def test_two_contents_of_one_place_are_refused(
    device: Device, harness_package: Package, built_bundle: Bundle, tmp_path: Path
) -> None:
    root = control_folder(built_bundle.root)
    controls = open_controls(root, built_bundle.manifest)
    student, *others = controls.arms
    program = student.program.model_copy(update={"sha256": "0" * 64})
    changed = student.model_copy(update={"program": program})
    other = controls.model_copy(update={"arms": (changed, *others)})
    payloads = [Payload(built_bundle, each, root) for each in (controls, other)]
    with pytest.raises(UsageError, match="overwrite each other on the device"):
        deploy(device, harness_package, payloads, Silent())


def test_a_new_file_is_hashed_once_on_the_device(
    device: Device,
    harness_package: Package,
    either_bundle: Bundle,
    controls: Controls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[list[str]] = []
    run = device.run

    def recording(argv: list[str], **options: Any) -> Completed:
        commands.append([str(word) for word in argv])
        return run(argv, **options)

    device.run(["rm", "-rf", str(device.workdir / "harness")], deadline_s=30)
    monkeypatch.setattr(device, "run", recording)
    installation = bring(device, harness_package, either_bundle, controls)
    assert installation.pushed == len(installation.digests)
    hashing = [argv for argv in commands if any("sha256sum" in word for word in argv)]
    asked_before, *published = hashing
    assert set(map(str, installation.digests)) <= set(asked_before), "none was there yet"
    mentioned = [word for argv in published for word in argv if word.startswith("/")]
    targets = [path for path in mentioned if PurePosixPath(path) in installation.digests]
    expected = [] if device.spec.startswith("local") else sorted(map(str, installation.digests))
    assert sorted(targets) == expected


def test_a_file_that_changed_since_it_was_verified_is_not_deployed(
    device: Device, harness_package: Package, bundle_copy: Path
) -> None:
    bundle = open_bundle(bundle_copy)
    controls = open_controls(control_folder(bundle_copy), bundle.manifest)
    (bundle_copy / "units" / "teacher-1.pte").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="teacher-1"):
        bring(device, harness_package, bundle, controls)


def test_a_package_for_another_abi_is_refused(
    device: Device,
    harness_package: Package,
    either_bundle: Bundle,
    controls: Controls,
    tmp_path: Path,
) -> None:
    root = tmp_path / "package"
    shutil.copytree(harness_package.root, root)
    description = json.loads((root / "harness.json").read_text())
    description["abi"] = "armeabi-v7a"
    (root / "harness.json").write_text(json.dumps(description))
    with pytest.raises(DeviceError, match="armeabi-v7a"):
        bring(device, Package(root), either_bundle, controls)


def test_a_damaged_package_is_refused(harness_package: Package, tmp_path: Path) -> None:
    root = tmp_path / "package"
    shutil.copytree(harness_package.root, root)
    with (root / "pwl_harness").open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError, match="pwl_harness is damaged"):
        Package(root)
    (root / "pwl_harness").unlink()
    with pytest.raises(IntegrityError, match="pwl_harness is missing"):
        Package(root)
    (root / "harness.json").write_text("{}")
    with pytest.raises(IntegrityError, match="is not valid"):
        Package(root)
    with pytest.raises(UsageError):
        Package(tmp_path / "none")


def test_a_package_of_another_release_is_told_with_the_remedy(tmp_path: Path) -> None:
    old = {"schema_version": 1, "litert": None}
    (tmp_path / "harness.json").write_text(json.dumps(old))
    with pytest.raises(UsageError, match="schema version 1; this release reads version 2") as told:
        Package(tmp_path)
    assert "scripts/build-harness" in told.value.remedy


def test_a_library_of_the_user_s_takes_the_place_of_the_package_s(
    harness_package: Package, tmp_path: Path
) -> None:
    library = tmp_path / "libOther.so"
    library.write_bytes(b"a library")
    package = harness_package.with_libraries({"litert": library})
    (path,) = harness_package.description.opened.values()
    assert package.files_for("litert")[path].source == library
    assert package.files_for("executorch") == harness_package.files_for("executorch")
    assert path not in package.files_for("executorch")
    assert package.description.engines["litert"].startswith("litert libOther.so ")
    assert package.runtime_id("litert") != harness_package.runtime_id("litert")
    started = package.command(PurePosixPath("/data"), "litert")
    assert started[-2:] == ["--library", f"/data/{path}"]
    assert "--library" not in package.command(PurePosixPath("/data"), "executorch")


def test_the_measurement_plan_names_arms_and_images(
    either_bundle: Bundle, controls: Controls
) -> None:
    lines = measurement_plan(either_bundle.manifest, controls).splitlines()
    assert lines[0] == "pwl-measurement-plan 1"
    assert lines[-1] == "end"
    assert "bundle bundle" in lines
    teacher = next(arm.program for arm in controls.arms if arm.name == "teacher")
    file = f"control/{teacher.path} {teacher.bytes} {teacher.sha256}"
    assert f"program teacher {file} 64 10" in lines
    assert "arm teacher teacher" in lines
    assert "golden 3 bundle/golden/inputs.f32" in lines
    assert "evaluation 40 1 bundle/eval/images.u8" in lines
    last = [either_bundle.manifest.artifact(u) for u in either_bundle.manifest.stages[-1].units]
    assert f"chain chain {' '.join(f'chain.{unit.id}' for unit in last)}" in lines
    (first,) = (line for line in lines if line.startswith(f"program chain.{last[0].id} "))
    assert f" bundle/{last[0].path} {last[0].bytes} {last[0].sha256} 64 " in first
    assert not any(line.startswith("chain") for line in _plan_without_arms(either_bundle))


def _plan_without_arms(bundle: Bundle) -> list[str]:
    return measurement_plan(bundle.manifest, None).splitlines()


@pytest.mark.parametrize("change", ["student behind", "two precisions", "an arm of its name"])
def test_no_other_last_stage_is_a_chain_of_the_teacher(
    change: str, either_bundle: Bundle, controls: Controls
) -> None:
    manifest = either_bundle.manifest
    assert chain_arm(manifest, controls) is not None
    if change == "student behind":
        manifest = manifest.model_copy(update={"stages": manifest.stages[:-1]})
    elif change == "two precisions":
        last = manifest.stages[-1].units[-1]
        artifacts = tuple(
            each.model_copy(update={"precision": "static_wi8_ai8"}) if each.id == last else each
            for each in manifest.artifacts
        )
        manifest = manifest.model_copy(update={"artifacts": artifacts})
    else:
        arm = controls.arms[0].model_copy(update={"name": "chain"})
        controls = controls.model_copy(update={"arms": (*controls.arms, arm)})
    assert chain_arm(manifest, controls) is None
    assert arm_names_of(manifest, controls) == tuple(arm.name for arm in controls.arms)
