from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pipeline.bundle.control import Controls, control_folder
from pipeline.bundle.verify import Bundle, open_bundle, open_controls
from pipeline.device.base import Device
from pipeline.device.connect import connect
from pipeline.errors import DeviceError, IntegrityError, UsageError
from pipeline.harness.deploy import Installation, Payload, deploy
from pipeline.harness.package import Package
from pipeline.harness.plan import plan_text
from pipeline.harness.session import HarnessSession
from pipeline.progress import Silent


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
    return Path(bundle.manifest.artefacts[0].path).suffix


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


def test_the_plan_says_what_the_manifest_says(either_bundle: Bundle, controls: Controls) -> None:
    lines = plan_text(either_bundle.manifest, controls).splitlines()
    assert lines[0] == "pwl-plan 1"
    assert lines[-1] == "end"
    assert "stage 1 teacher-0 encoder-0 student-1 student-2" in lines
    assert "input 64" in lines
    assert "classes 10" in lines
    artefact = either_bundle.manifest.artefact("encoder-0")
    expected = f"artefact encoder-0 bundle/{artefact.path} {artefact.bytes} {artefact.sha256}"
    assert f"{expected} 512 256" in lines
