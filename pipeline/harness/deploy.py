"""Brings a harness package and a bundle onto a device: only what changed, and nothing stale."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.device.base import Device
from pipeline.device.digest import device_sha256
from pipeline.errors import DeviceError, IntegrityError
from pipeline.harness.package import Package, PackageFile
from pipeline.harness.plan import BUNDLE_FOLDER, CONTROL_FOLDER, plan_text
from pipeline.progress import Progress
from pipeline.units import size

_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is on the device.

    Attributes:
        command: how the harness is started.
        plan: path of the plan.
        engine: name and version of the inference library.
        caching: flags that make it keep packed weights.
        pushed: files that had to be pushed.
        pushed_bytes: their size.
    """

    command: tuple[str, ...]
    plan: PurePosixPath
    engine: str
    caching: tuple[str, ...]
    pushed: int
    pushed_bytes: int


def deploy(
    device: Device,
    package: Package,
    bundle: Bundle,
    controls: Controls,
    control_root: Path,
    progress: Progress,
) -> Deployment:
    """Makes two folders on the device equal to the package and to the bundle with its controls.

    The sha256 of every file is checked on the device, whether it was pushed now or before, which is
    why the plan then asks the harness for no more than a look at sizes.

    Raises:
        DeviceError: the device is gone, full, or of another ABI than the package.
        IntegrityError: a file changed on this machine's disk while it was being pushed.
    """
    abi = device.properties().abi
    if abi != package.description.abi:
        raise DeviceError(
            f"{device.spec} runs {abi} programs, the harness in {package.root} is built for "
            f"{package.description.abi}",
            "build the harness for that ABI and name its folder with --harness",
        )
    manifest = bundle.manifest
    backend = manifest.backend.name
    name = device_folder(manifest)
    harness = device.workdir / "harness"
    home = device.workdir / "bundles" / name
    wanted = {harness / path: file for path, file in package.files_for(backend).items()}
    for entry in manifest.files():
        target = home / BUNDLE_FOLDER / entry.path
        wanted[target] = PackageFile(bundle.root / entry.path, entry.sha256, executable=False)
    for arm in controls.arms:
        wanted[home / CONTROL_FOLDER / arm.path] = PackageFile(
            control_root / arm.path, arm.sha256, executable=False
        )
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".plan") as plan:
        text = plan_text(manifest, controls, verify="size")
        plan.write(text)
        plan.flush()
        digest = hashlib.sha256(text.encode()).hexdigest()
        wanted[home / "plan"] = PackageFile(Path(plan.name), digest, executable=False)
        pushed, pushed_bytes = _push(device, wanted, progress)
    for folder in (harness, home):
        _remove_stale(device, folder, wanted)
    return Deployment(
        command=(*package.command(harness), *_library_flags(package, backend, harness)),
        plan=home / "plan",
        engine=package.description.engines[backend],
        caching=_caches(device, package.runtime_id(backend), name, manifest, controls),
        pushed=pushed,
        pushed_bytes=pushed_bytes,
    )


def device_folder(manifest: Manifest) -> str:
    """The name of a bundle's folder on a device: a newer build replaces an older one there."""
    return f"{manifest.name}-{manifest.backend.name}"


def _library_flags(package: Package, backend: str, harness: PurePosixPath) -> tuple[str, ...]:
    library = package.description.litert if backend == "litert" else None
    return ("--library", str(harness / library)) if library else ()


def _caches(
    device: Device, runtime: str, name: str, manifest: Manifest, controls: Controls
) -> tuple[str, ...]:
    """Makes the folder of weight caches, without those of other programs and other runtimes.

    Their names are those that android_harness/include/pwl/weight_cache.h gives them.
    """
    folder = device.workdir / "caches" / name
    device.run(["mkdir", "-p", str(folder)], deadline_s=_DEADLINE_S)
    programs = [*manifest.artefacts, *controls.arms]
    own = [folder / f"{program.sha256}-{runtime}.xnnpack" for program in programs]
    _remove_stale(device, folder, own)
    return ("--weight-cache", str(folder), "--runtime", runtime)


def _push(
    device: Device, wanted: Mapping[PurePosixPath, PackageFile], progress: Progress
) -> tuple[int, int]:
    there = device_sha256(device, list(wanted))
    missing = {path: file for path, file in wanted.items() if there.get(path) != file.sha256}
    total = sum(file.source.stat().st_size for file in missing.values())
    if not missing:
        return 0, 0
    with progress.task("push", total=total) as task:
        for path, file in missing.items():
            before = 0

            def report(done: int, of: int) -> None:
                nonlocal before
                task.advance(done - before)
                before = done

            task.advance(0, f"{path.name}, {size(total)} in all")
            device.push(file.source, path, executable=file.executable, progress=report)
    arrived = device_sha256(device, list(missing))
    for path, file in missing.items():
        if arrived.get(path) != file.sha256:
            raise IntegrityError(
                f"{file.source} is not what the manifest says", "build the bundle again"
            )
    return len(missing), total


def _remove_stale(device: Device, folder: PurePosixPath, wanted: Iterable[PurePosixPath]) -> None:
    """Removes what an earlier deployment left in a folder and this one does not have."""
    listing = device.run(["find", str(folder), "-type", "f"], deadline_s=_DEADLINE_S)
    found = {PurePosixPath(line) for line in listing.stdout.decode(errors="replace").splitlines()}
    stale = sorted(str(path) for path in found.difference(wanted))
    for start in range(0, len(stale), 100):
        device.run(["rm", "-f", *stale[start : start + 100]], deadline_s=_DEADLINE_S)
