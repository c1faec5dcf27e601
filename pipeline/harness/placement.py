"""Where a bundle goes on a device, and how the harness is told of it there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.bundle.control import Controls
from pipeline.bundle.loading_plan import LOADING_PLAN
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.output import JudgedBy
from pipeline.bundle.verify import Bundle
from pipeline.harness.chain_arm import arm_names_of
from pipeline.harness.measurement_plan import (
    BUNDLE_FOLDER,
    CONTROL_FOLDER,
    MEASUREMENT_PLAN,
    measurement_plan,
)
from pipeline.harness.two_step import TWO_STEP_PLAN, two_step_loading_plan
from pipeline.toolchain.package import Package, PackageFile

#: What is to lie on a device, by its path there.
WantedFiles = dict[PurePosixPath, PackageFile]

#: Of the package, below a device's working folder.
HARNESS_FOLDER = "harness"


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
        arms: names of the control arms, that of the teacher's chain among them.
        engine: name and version of the inference library.
        caching: flags that make it keep packed weights.
        stages: how many the bundle has.
        golden_images, evaluation_images: how many of these it has.
        judged_by: what is compared of an answer; see `pipeline.bundle.manifest.Model`.
        two_step: the student alone, then the whole teacher, instead of the bundle; see
            `pipeline.harness.two_step`.
    """

    command: tuple[str, ...]
    plan: PurePosixPath
    plans: tuple[str, str]
    arms: tuple[str, ...]
    engine: str
    caching: tuple[str, ...]
    stages: int
    golden_images: int
    evaluation_images: int
    judged_by: JudgedBy = "label"
    two_step: Deployment | None = None


def device_folder(manifest: Manifest) -> str:
    """The name of a bundle's folder on a device: a newer build replaces an older one there."""
    return f"{manifest.name}-{manifest.backend.name}"


@dataclass(frozen=True, slots=True)
class Placement:
    """A bundle and where it goes on a device.

    Attributes:
        payload: the bundle and its control arms.
        home: folder of its files.
        caches: folder of its weight caches.
        runtime: what runs it, in the names of these.
        plan: text of its measurement plan.
        two_step: texts of the measurement plan and the loading.plan of what it is compared with.
    """

    payload: Payload
    home: PurePosixPath
    caches: PurePosixPath
    runtime: str
    plan: str
    two_step: tuple[str, str] | None

    @classmethod
    def of(cls, root: PurePosixPath, package: Package, payload: Payload) -> Placement:
        """Places a bundle below the working folder of a device, for the harness of a package."""
        manifest = payload.bundle.manifest
        name = device_folder(manifest)
        loading = two_step_loading_plan(manifest, payload.controls)
        return cls(
            payload,
            home=root / "bundles" / name,
            caches=root / "caches" / name,
            runtime=package.runtime_id(manifest.backend.name),
            plan=measurement_plan(manifest, payload.controls),
            two_step=(measurement_plan(manifest, None, CONTROL_FOLDER), loading)
            if loading
            else None,
        )

    @property
    def backend(self) -> str:
        """Its bundle's."""
        return self.payload.bundle.manifest.backend.name

    @property
    def cache_files(self) -> list[PurePosixPath]:
        """Named as pwl/weight_cache.h does it; beside each lie its sha256 and its lock.

        Whoever builds holds a lock of the folder, too.
        """
        arms = self.payload.controls.arms
        programs = [*self.payload.bundle.manifest.artifacts, *(arm.program for arm in arms)]
        names = [f"{one.sha256}-{self.runtime}.xnnpack" for one in programs]
        files = [name + end for name in names for end in ("", ".sha256", ".lock")]
        return [self.caches / name for name in (*files, "building.lock")]

    def files(self, scratch: Path) -> WantedFiles:
        """Its files by their path on the device; `scratch` is a new folder to write plans to."""
        payload = self.payload
        texts = {MEASUREMENT_PLAN: self.plan}
        if self.two_step is not None:
            texts[TWO_STEP_PLAN], texts[f"{CONTROL_FOLDER}/{LOADING_PLAN}"] = self.two_step
        found = {}
        for name, text in texts.items():
            file = scratch / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            found[self.home / name] = PackageFile(file, _digest(text), executable=False)
        for entry in payload.bundle.manifest.files():
            source = payload.bundle.root / entry.path
            target = self.home / BUNDLE_FOLDER / entry.path
            found[target] = PackageFile(source, entry.sha256, executable=False)
        for arm in payload.controls.arms:
            program = arm.program
            source = payload.control_root / program.path
            target = self.home / CONTROL_FOLDER / program.path
            found[target] = PackageFile(source, program.sha256, executable=False)
        return found

    def deployment(self, package: Package, harness: PurePosixPath) -> Deployment:
        """What is to be measured, with the package in the folder `harness`."""
        manifest = self.payload.bundle.manifest
        found = Deployment(
            command=tuple(package.command(harness, self.backend)),
            plan=self.home / MEASUREMENT_PLAN,
            plans=(_digest(self.plan), manifest.loading_plan.sha256),
            arms=arm_names_of(manifest, self.payload.controls),
            engine=package.description.engines[self.backend],
            caching=("--weight-cache", str(self.caches), "--runtime", self.runtime),
            stages=len(manifest.stages),
            golden_images=manifest.golden.images,
            evaluation_images=manifest.evaluation.count,
            judged_by=manifest.model.judged_by,
        )
        if self.two_step is None:
            return found
        plans = _digest(self.two_step[0]), _digest(self.two_step[1])
        other = replace(found, plan=self.home / TWO_STEP_PLAN, plans=plans, arms=())
        return replace(found, two_step=other)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
