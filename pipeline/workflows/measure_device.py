"""From a bundle and a device to a report: the rooms one after the other."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import get_args

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_bundle, open_controls
from pipeline.core.atomic_files import real_path, write_texts
from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress
from pipeline.core.release import release
from pipeline.device.admission import Admission, GuardOptions
from pipeline.device.base import Device, DeviceLock, DeviceProperties
from pipeline.device.connect import connect
from pipeline.device.cores import ALL_CORES, chosen_cores
from pipeline.device.guards import is_refused
from pipeline.device.state import WATCH_S, DeviceState, read_state
from pipeline.harness.campaign import CampaignOptions, run_campaigns
from pipeline.harness.deploy import Installation, deploy
from pipeline.harness.placement import Payload, device_folder
from pipeline.harness.samples import MOST_FPS, Dropping, State
from pipeline.harness.session import HarnessSession
from pipeline.report.assemble import compose_report
from pipeline.report.schema import Context, Report
from pipeline.settings import BACKENDS
from pipeline.toolchain.build_harness import build_harness
from pipeline.toolchain.package import Package
from pipeline.toolchain.target import Target, target_for
from pipeline.workflows.named_devices import folder_name

#: What people see move: video, and most screens.
FRAME_RATES = (30, 60)

#: The API level from which the user "shell" can have the page cache dropped.
_DROPS_CACHES = 31


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """How a bundle is measured.

    Attributes:
        device: as `connect` takes it.
        device_folder: where to work on an ADB device; None for the usual place.
        states: start states.
        rounds: starts of every arm in every state.
        control: folder of the control arms; None for the one beside the bundle.
        harness: a built package; None to build one for the device.
        library: the inference library to measure, where the harness opens it while it runs; None
            for the package's own.
        work: folder to build it in.
        cores: which cores to run on, as `parse_cores` takes it.
        guards: what is asked of the device's state.
        fps: frame rates at which stages are gone through, too.
    """

    device: str
    states: tuple[State, ...] = ("cold", "warm")
    rounds: int = 15
    control: Path | None = None
    harness: Path | None = None
    library: Path | None = None
    work: Path = Path("build")
    device_folder: PurePosixPath | None = None
    cores: str = ALL_CORES
    guards: GuardOptions = field(default_factory=GuardOptions)
    fps: tuple[int, ...] = FRAME_RATES

    def amount(self) -> CampaignOptions:
        """How much is measured."""
        return CampaignOptions(rounds=self.rounds, states=self.states, fps=self.fps)


def parse_states(text: str) -> tuple[State, ...]:
    """Reads ``cold,warm``; ``cold-cached`` is cold with weight caches on disk.

    Raises:
        UsageError: something else is named, or nothing.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    states: tuple[State, ...] = tuple(state for state in _STATES if state in names)
    if not names or len(states) != len(set(names)):
        raise UsageError(
            f"--states {text!r}", f"name some of {', '.join(_STATES)}, such as --states cold,warm"
        )
    return states


_STATES: tuple[State, ...] = get_args(State)


def parse_fps(text: str) -> tuple[int, ...]:
    """Reads ``30,60``, or ``none``.

    Raises:
        UsageError: something else than whole numbers that the harness takes, or one twice.
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["none"]:
        return ()
    rates = tuple(int(word) for word in words if re.fullmatch("[0-9]{1,7}", word))
    if len(set(rates)) != len(words) or not all(1 <= rate <= MOST_FPS for rate in rates):
        raise UsageError(
            f"--fps {text!r}",
            f"name whole numbers from 1 to {MOST_FPS}, such as --fps 30,60; or none",
        )
    return tuple(sorted(rates))


def measure(folder: Path, options: ProfileOptions, progress: Progress) -> Report:
    """Deploys a bundle with its control arms and measures it. Raises as `measure_together` does."""
    return measure_together([folder], options, progress)[0]


def measure_together(
    folders: Sequence[Path], options: ProfileOptions, progress: Progress
) -> list[Report]:
    """Deploys bundles with their control arms to one device and measures them in turns.

    Raises:
        UsageError: there is no bundle, no compiler, the device cannot be named so, or two bundles
            would overwrite each other there.
        IntegrityError: a bundle is damaged, the harness refuses a file, or what was measured is
            not what was deployed.
        BusyError: another run uses the device.
        DeviceError: the device failed.
    """
    payloads = [open_payload(folder, options.control) for folder in folders]
    bundles = [payload.bundle for payload in payloads]
    _check_apart(bundles)
    libraries = named_libraries(bundles, options.library)
    with connect(options.device, folder=options.device_folder) as device, device.lock() as lock:
        properties = device.properties()
        admission = Admission(device, properties, options.guards, progress)
        # A phone is refused before anything is built or sent; nothing else is.
        arrived = admission.require_fit(WATCH_S if is_refused(properties) else 0)
        cores = chosen_cores(options.cores, arrived.cores, device.spec)
        package = package_for(properties, options, progress).with_libraries(libraries)
        installation = deploy(device, package, payloads, progress)
        sessions = _sessions(device, properties, installation, cores)
        amount = options.amount()
        watch = _Watch(admission, lock, progress)
        before = admission.require_fit(WATCH_S)
        begin, created = time.monotonic(), datetime.now(UTC)
        campaigns = run_campaigns(sessions, amount, progress, watch)
        seconds = time.monotonic() - begin
        after = read_state(device, watch_s=0)
        installation.require_unchanged(device)
        lock.require()
    return [
        compose_report(
            payload,
            campaign,
            Context(
                created=created.isoformat(timespec="seconds"),
                tool=release(),
                device=properties,
                engine=session.deployment.engine,
                target=package.description.target,
                harness=campaign.info,
                options=amount,
                allowed=options.guards.allow,
                cores=cores,
                dropping=session.dropping,
                before=before,
                between=tuple(watch.states),
                after=after,
                seconds=round(seconds, 3),
            ),
        )
        for payload, session, campaign in zip(payloads, sessions, campaigns, strict=True)
    ]


def open_payload(folder: Path, control: Path | None) -> Payload:
    """A bundle with its control arms, which lie beside it unless another folder is named.

    Raises:
        UsageError: there is no bundle, or no control arms of it.
        IntegrityError: a file of either is damaged.
    """
    bundle, root = open_bundle(folder), control or control_folder(folder)
    return Payload(bundle, open_controls(root, bundle.manifest), root)


def _sessions(
    device: Device,
    properties: DeviceProperties,
    installation: Installation,
    cores: tuple[int, ...],
) -> list[HarnessSession]:
    dropping: Dropping = "property" if (properties.sdk or 0) >= _DROPS_CACHES else "eviction"
    return [
        HarnessSession(device, one, cores=cores, dropping=dropping)
        for one in installation.deployments
    ]


class _Watch:
    """Looks at the device between rounds; see `pipeline.harness.campaign.Watch`."""

    def __init__(self, admission: Admission, lock: DeviceLock, progress: Progress) -> None:
        self._admission = admission
        self._lock = lock
        self._progress = progress
        self.states: list[DeviceState] = []

    def between_rounds(self) -> None:
        self._lock.require()
        self.states.append(self._admission.between_rounds())

    def not_cold(self, reason: str) -> None:
        self._admission.require("CACHE-NOT-DROPPED", reason)
        self._progress.say(f"no cold starts: {reason}")


def package_for(device: DeviceProperties, options: ProfileOptions, progress: Progress) -> Package:
    """The harness that is named, or one that is built for what the device says of itself.

    Raises:
        UsageError: something that its build needs is not installed, or the named one is none.
        DeviceError: no harness is built for that device, or the build failed.
        IntegrityError: the named one, or what a build fetches, is damaged.
    """
    if options.harness is not None:
        return Package(options.harness)
    target = target_for(device.abi, device.system)
    if target != Target.host():
        progress.say(
            f"{device.model} runs {device.abi} programs: with the harness {target.name}, which is "
            "built here and brings its own C library; for an app's own, name an NDK build with "
            "--harness (docs/phone.md)"
        )
    return build_harness(target, options.work / "harness", progress)


def named_libraries(bundles: Sequence[Bundle], library: Path | None) -> dict[str, Path]:
    """The library that is named, if one is, by the backend for which the harness opens it.

    Raises:
        UsageError: it is not there, or the bundles are not those of one such backend.
    """
    if library is None:
        return {}
    if not library.is_file():
        raise UsageError(f"{library}: no such file", "name a library for the device's ABI")
    names = {bundle.manifest.backend.name for bundle in bundles}
    opening = [name for name, spec in BACKENDS.items() if spec.runtime.opened]
    if len(wanted := names.intersection(opening)) != 1:
        raise UsageError(
            f"--library {library}: it is opened for bundles of one backend, "
            f"{' or '.join(opening)}; these are for {' and '.join(sorted(names))}",
            "leave --library out",
        )
    return {wanted.pop(): library}


def _check_apart(bundles: Sequence[Bundle]) -> None:
    placed: dict[str, Bundle] = {}
    for bundle in bundles:
        other = placed.setdefault(device_folder(bundle.manifest), bundle)
        if other.manifest.id != bundle.manifest.id:
            raise UsageError(
                f"{other.root} and {bundle.root} are both called {bundle.manifest.name} and would "
                "overwrite each other on the device",
                "give one of the profiles another name and build it again",
            )


#: What `write_report` writes; the one that says that all are there comes last.
REPORT_FILES = ("curve.svg", "report.html", "report.json")


def report_name(bundle: Path, device: str) -> str:
    """The default name of a report's folder, such as ``digits-adb-192.168.1.20-5555``."""
    return f"{real_path(bundle).name}-{folder_name(device)}"


def write_report(report: Report, folder: Path) -> None:
    """Writes report.json, report.html and curve.svg, which take their places when all are whole."""
    from pipeline.report.render.curve import curve_file
    from pipeline.report.render.html import report_page

    texts = (curve_file(report), report_page(report), report.to_json())
    write_texts(folder, dict(zip(REPORT_FILES, texts, strict=True)))
