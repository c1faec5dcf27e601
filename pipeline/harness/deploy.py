"""Brings a harness package and bundles onto a device: only what changed, and nothing stale."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.progress import Progress
from pipeline.device.base import Device, device_task
from pipeline.device.digest import device_sha256
from pipeline.device.tree import make_folders, read_tree, remove
from pipeline.harness.measurement_plan import (
    BUNDLE_FOLDER,
    CONTROL_FOLDER,
    MEASUREMENT_PLAN,
    measurement_plan,
)
from pipeline.harness.push import Wanted, push_missing
from pipeline.toolchain.package import Package, PackageFile


@dataclass(frozen=True, slots=True)
class Payload:
    """What is deployed of one bundle.

    Attributes:
        bundle: the bundle.
        controls: its control arms.
        control_root: where these lie.
    """

    bundle: Bundle
    controls: Controls
    control_root: Path


@dataclass(frozen=True, slots=True)
class Deployment:
    """A bundle on a device, ready to be measured.

    Attributes:
        command: how the harness is started.
        plan: path of the measurement plan.
        plans: sha256 of the measurement plan and of the bundle's loading.plan; the harness says
            which ones it has read.
        arms: names of the control arms.
        engine: name and version of the inference library.
        caching: flags that make it keep packed weights.
    """

    command: tuple[str, ...]
    plan: PurePosixPath
    plans: tuple[str, str]
    arms: tuple[str, ...]
    engine: str
    caching: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """All that one run has on a device.

    Attributes:
        deployments: of the bundles, in the order in which they were given.
        digests: sha256 of every file by its path there.
        pushed: files that had to be pushed.
        pushed_bytes: their size.
    """

    deployments: tuple[Deployment, ...]
    digests: Mapping[PurePosixPath, str]
    pushed: int
    pushed_bytes: int

    def require_unchanged(self, device: Device) -> None:
        """Makes sure that what has been measured is what was deployed.

        Raises:
            IntegrityError: files are others now than those that were deployed; they are named.
            DeviceError: the device is gone.
        """
        with device_task(f"checking what was measured on {device.spec}"):
            now = device_sha256(device, self.digests)
        changed = [str(path) for path, sha256 in self.digests.items() if now.get(path) != sha256]
        if changed:
            raise IntegrityError(
                f"{len(changed)} files changed on {device.spec} while they were measured, so that "
                f"the measurement is of something else: {', '.join(changed[:5])}",
                f"run again, and let nothing else write below {device.workdir} meanwhile",
            )


def deploy(
    device: Device, package: Package, payloads: Sequence[Payload], progress: Progress
) -> Installation:
    """Makes the folders of a run on the device equal to the package and to the bundles' content.

    The sha256 of every file is checked on the device, whether it was pushed now or before, which is
    why the plan then asks the harness for no more than a look at sizes. Stale is what none of the
    bundles has; it is removed first, so that its space can be used.

    Raises:
        UsageError: two bundles would overwrite each other.
        DeviceError: the device is gone, full (mostly seen before anything is pushed), of another
            ABI than the package, or does not run programs where they are.
        IntegrityError: a file changed on this machine's disk while it was being pushed.
    """
    _require_abi(device, package)
    placed = [_Placed.of(device, package, payload) for payload in payloads]
    with (
        device_task(f"deploying to {device.spec}"),
        tempfile.TemporaryDirectory(prefix="pwl-") as scratch,
    ):
        wanted = _all_wanted(package, device.workdir / "harness", placed, Path(scratch))
        caches = {one.caches: one.cache_files for one in placed}
        tops = [device.workdir / "harness", *dict.fromkeys(one.home for one in placed), *caches]
        kept = {*wanted, *(file for files in caches.values() for file in files)}
        _remove_stale(device, tops, kept)
        make_folders(device, [*caches])
        pushed, pushed_bytes = push_missing(device, wanted, progress)
    return Installation(
        deployments=tuple(one.deployment(package) for one in placed),
        digests={path: file.sha256 for path, file in wanted.items()},
        pushed=pushed,
        pushed_bytes=pushed_bytes,
    )


def device_folder(manifest: Manifest) -> str:
    """The name of a bundle's folder on a device: a newer build replaces an older one there."""
    return f"{manifest.name}-{manifest.backend.name}"


@dataclass(frozen=True, slots=True)
class _Placed:
    """A bundle and where it goes on the device."""

    payload: Payload
    harness: PurePosixPath
    home: PurePosixPath
    caches: PurePosixPath
    runtime: str

    @classmethod
    def of(cls, device: Device, package: Package, payload: Payload) -> _Placed:
        manifest = payload.bundle.manifest
        name, root = device_folder(manifest), device.workdir
        runtime = package.runtime_id(manifest.backend.name)
        return cls(
            payload, root / "harness", root / "bundles" / name, root / "caches" / name, runtime
        )

    @property
    def plan(self) -> str:
        return measurement_plan(self.payload.bundle.manifest, self.payload.controls, "size")

    @property
    def cache_files(self) -> list[PurePosixPath]:
        """Named as pwl/weight_cache.h does it; beside each lie its sha256 and its lock."""
        arms = self.payload.controls.arms
        programs = [*self.payload.bundle.manifest.artifacts, *(arm.program for arm in arms)]
        names = [f"{one.sha256}-{self.runtime}.xnnpack" for one in programs]
        return [self.caches / (name + end) for name in names for end in ("", ".sha256", ".lock")]

    def wanted(self, plan: Path) -> Wanted:
        """Its files by their path on the device; `plan` is a new file to write the plan to."""
        payload = self.payload
        plan.write_text(self.plan, encoding="utf-8")
        target = self.home / MEASUREMENT_PLAN
        files = {target: PackageFile(plan, _digest(self.plan), executable=False)}
        for entry in payload.bundle.manifest.files():
            source = payload.bundle.root / entry.path
            target = self.home / BUNDLE_FOLDER / entry.path
            files[target] = PackageFile(source, entry.sha256, executable=False)
        for arm in payload.controls.arms:
            program = arm.program
            target = self.home / CONTROL_FOLDER / program.path
            source = payload.control_root / program.path
            files[target] = PackageFile(source, program.sha256, executable=False)
        return files

    def deployment(self, package: Package) -> Deployment:
        backend = self.payload.bundle.manifest.backend.name
        library = package.description.litert if backend == "litert" else None
        flags = ("--library", str(self.harness / library)) if library else ()
        return Deployment(
            command=(*package.command(self.harness), *flags),
            plan=self.home / MEASUREMENT_PLAN,
            plans=(_digest(self.plan), self.payload.bundle.manifest.loading_plan.sha256),
            arms=tuple(arm.name for arm in self.payload.controls.arms),
            engine=package.description.engines[backend],
            caching=("--weight-cache", str(self.caches), "--runtime", self.runtime),
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _require_abi(device: Device, package: Package) -> None:
    abi = device.properties().abi
    if abi != package.description.abi:
        raise DeviceError(
            f"{device.spec} runs {abi} programs, the harness in {package.root} is built for "
            f"{package.description.abi}",
            "build the harness for that ABI and name its folder with --harness",
        )


def _all_wanted(
    package: Package, harness: PurePosixPath, placed: Sequence[_Placed], scratch: Path
) -> Wanted:
    wanted: Wanted = {}
    for number, one in enumerate(placed):
        backend = one.payload.bundle.manifest.backend.name
        wanted |= {harness / path: file for path, file in package.files_for(backend).items()}
        for path, file in one.wanted(scratch / f"plan-{number}").items():
            if wanted.setdefault(path, file).sha256 != file.sha256:
                raise UsageError(
                    f"{wanted[path].source} and {file.source} would overwrite each other on the "
                    f"device, as {path}",
                    "give one of the profiles another name and build it again, or measure one "
                    "after the other",
                )
    return wanted


def _remove_stale(
    device: Device, tops: Sequence[PurePosixPath], kept: Iterable[PurePosixPath]
) -> None:
    """Removes what an earlier deployment left, and whatever is not of the kind that it should be.

    That is also a folder or a link where a file or a folder is going to be: through a link, files
    would be written and removed in a place that is none of ours.
    """
    files = set(kept)
    folders = {parent for path in files for parent in path.parents} | set(tops)
    there = read_tree(device, tops)
    stale = (there.files - files) | there.others | (there.folders - folders)
    remove(device, {path for path in stale if not stale.intersection(path.parents)})
