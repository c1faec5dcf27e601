"""`python -m pipeline.profile`: measures a bundle on a device and writes a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pipeline.core.command_line import Argument, Exit, Option, command
from pipeline.core.errors import ExitCode

if TYPE_CHECKING:
    from pipeline.workflows.measure_device import ProfileOptions


@command
def profile(
    bundle: Annotated[Path, Argument(help="Bundle folder.")],
    device: Annotated[
        list[str] | None,
        Option(
            help="local, local:FOLDER, adb (the only device), adb:SERIAL, emulator-5554, "
            "adb:HOST:PORT, or adb:usb without an adb server; several times for several devices; "
            "all: every device of the adb server.",
            show_default="local",
        ),
    ] = None,
    device_folder: Annotated[
        str | None,
        Option(help="Folder to work in on an ADB device.", show_default="/data/local/tmp/pwl"),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            help="Report folder; of several devices, a folder of such folders.",
            show_default="reports/BUNDLE-DEVICE, reports/BUNDLE",
        ),
    ] = None,
    rounds: Annotated[int, Option(help="Starts of every arm in every state.", min=1)] = 15,
    states: Annotated[
        str,
        Option(help="Start states: cold, warm, cold-cached (cold, weight caches on disk)."),
    ] = "cold,warm",
    fps: Annotated[
        str,
        Option(
            help="Frames a second that are served while stages load, beside full speed; or none."
        ),
    ] = "30,60",
    control: Annotated[
        Path | None, Option(help="Control arms.", show_default="beside the bundle")
    ] = None,
    harness: Annotated[
        Path | None,
        Option(help="Built harness package.", show_default="built for the device"),
    ] = None,
    library: Annotated[
        Path | None,
        Option(
            help="Inference library for the device's ABI, such as libLiteRt.so.",
            show_default="the package's",
        ),
    ] = None,
    work: Annotated[Path, Option(help="Folder to build the harness in.")] = Path("build"),
    cores: Annotated[
        str, Option(help="Cores to run on: all, big, or numbers such as 4-7 or 0,4-7.")
    ] = "all",
    allow: Annotated[
        list[str] | None,
        Option(
            help="Measure although this guard refuses, such as EMULATOR (may be repeated); the "
            "report says so. docs/phone.md lists them.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        float,
        Option(help="Seconds to wait, in all, for heat and load of a phone to pass.", min=0),
    ] = 300.0,
) -> None:
    """Measures a bundle on a device, interleaved with its control arms.

    Writes report.json (every sample), report.html (one page with plots) and curve.svg, and prints
    the tables. Exit status 4 where results are wrong: the report is written, its validity is
    `invalid`.

    Several devices are measured at the same time, but for those on one processor, and each gets a
    folder of its own. devices.json and devices.html put them side by side; one that fails is named
    there, and the others go on. The exit status is the gravest of all: 4, 2, 3, or else 0.
    """
    from pipeline.core.outputs import require_folder
    from pipeline.device.admission import GuardOptions
    from pipeline.device.cores import parse_cores
    from pipeline.device.guards import parse_allowed
    from pipeline.workflows.measure_device import ProfileOptions, parse_fps, parse_states
    from pipeline.workflows.named_devices import are_several

    specs = device or ["local"]
    options = ProfileOptions(
        device=specs[0],
        device_folder=PurePosixPath(device_folder) if device_folder else None,
        states=parse_states(states),
        rounds=rounds,
        control=control,
        harness=harness,
        library=library,
        work=work,
        cores=parse_cores(cores),
        fps=parse_fps(fps),
        guards=GuardOptions(allow=parse_allowed(allow or ()), wait_s=wait),
    )
    if harness is None:
        require_folder(work, "--work")
    if are_several(specs):
        _measure_several(bundle, specs, options, out)
    else:
        _measure_one(bundle, options, out)


def _measure_one(bundle: Path, options: ProfileOptions, out: Path | None) -> None:
    from pipeline.core.locks import writing_folder
    from pipeline.core.progress import progress_for_terminal
    from pipeline.report.integrity import require_right_results
    from pipeline.report.render.tables import print_report
    from pipeline.workflows.measure_device import measure, report_name, write_report

    folder = out or Path("reports") / report_name(bundle, options.device)
    _require_report_folder(folder)
    with writing_folder(folder, "name another with --out"):
        report = measure(bundle, options, progress_for_terminal())
        write_report(report, folder)
    print_report(report)
    print(f"{folder}/report.html shows it\n{folder}/report.json holds every sample")
    require_right_results(report, folder)


def _measure_several(
    bundle: Path, specs: Sequence[str], options: ProfileOptions, out: Path | None
) -> None:
    from pipeline.core.atomic_files import real_path
    from pipeline.core.locks import writing_folder
    from pipeline.core.outputs import require_file
    from pipeline.core.progress import rows_for_terminal
    from pipeline.report.render.devices_table import print_devices
    from pipeline.workflows import device_files
    from pipeline.workflows.measure_devices import measure_devices
    from pipeline.workflows.named_devices import named_devices

    folder = out or Path("reports") / real_path(bundle).name
    devices = named_devices(specs, options.device_folder)
    for name in device_files.DEVICES_FILES:
        require_file(folder / name, "--out")
    for each in devices:
        _require_report_folder(folder / each.folder)
    with writing_folder(folder, "name another with --out"):
        earlier = device_files.earlier_devices(folder)
        with rows_for_terminal() as rows:
            report = measure_devices(bundle, options, devices, folder, rows)
        device_files.write_devices(report, folder)
        if earlier is not None:
            device_files.remove_stale(earlier, report, folder)
    print_devices(report)
    print(f"{folder}/devices.html shows them side by side\n{folder}/devices.json holds the numbers")
    for result in report.devices:
        if result.failure is not None:
            kind = "note" if result.status is ExitCode.OK else "error"
            print(f"{kind}: {result.name}: {result.failure}", file=sys.stderr)
    raise Exit(report.status)


def _require_report_folder(folder: Path) -> None:
    from pipeline.core.outputs import require_file, require_folder
    from pipeline.workflows.measure_device import REPORT_FILES

    require_folder(folder, "--out")
    for name in REPORT_FILES:
        require_file(folder / name, "--out")


if __name__ == "__main__":
    profile()
