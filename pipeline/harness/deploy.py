"""Brings a harness package and bundles onto a device: only what changed, and nothing stale."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.progress import Progress
from pipeline.device.base import Device, device_task
from pipeline.device.digest import device_sha256
from pipeline.device.tree import make_folders, read_tree, remove
from pipeline.harness.placement import (
    HARNESS_FOLDER,
    Deployment,
    Payload,
    Placement,
    WantedFiles,
)
from pipeline.harness.push import push_missing
from pipeline.toolchain.package import Package


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
    root, harness = device.workdir, device.workdir / HARNESS_FOLDER
    placements = [Placement.of(root, package, payload) for payload in payloads]
    with (
        device_task(f"deploying to {device.spec}"),
        tempfile.TemporaryDirectory(prefix="pwl-") as scratch,
    ):
        wanted = _all_wanted(package, harness, placements, Path(scratch))
        caches = {one.caches: one.cache_files for one in placements}
        tops = [harness, *dict.fromkeys(one.home for one in placements), *caches]
        kept = {*wanted, *(file for files in caches.values() for file in files)}
        _remove_stale(device, tops, kept)
        make_folders(device, [*caches])
        pushed, pushed_bytes = push_missing(device, wanted, progress)
    return Installation(
        deployments=tuple(one.deployment(package, harness) for one in placements),
        digests={path: file.sha256 for path, file in wanted.items()},
        pushed=pushed,
        pushed_bytes=pushed_bytes,
    )


def _require_abi(device: Device, package: Package) -> None:
    abi = device.properties().abi
    if abi != package.description.abi:
        raise DeviceError(
            f"{device.spec} runs {abi} programs, the harness in {package.root} is built for "
            f"{package.description.abi}",
            "build the harness for that ABI and name its folder with --harness",
        )


def _all_wanted(
    package: Package, harness: PurePosixPath, placements: Sequence[Placement], scratch: Path
) -> WantedFiles:
    wanted: WantedFiles = {}
    for number, one in enumerate(placements):
        wanted |= {harness / path: file for path, file in package.files_for(one.backend).items()}
        for path, file in one.files(scratch / f"plan-{number}").items():
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
