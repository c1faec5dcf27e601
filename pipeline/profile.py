"""`python -m pipeline.profile`: measures a bundle on a device and writes a report."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

from pipeline.core.command_line import Argument, Option, command


@command
def profile(
    bundle: Annotated[Path, Argument(help="Bundle folder.")],
    device: Annotated[
        str,
        Option(
            help="local, local:FOLDER, adb (the only device), adb:SERIAL, emulator-5554, "
            "adb:HOST:PORT, or adb:usb without an adb server."
        ),
    ] = "local",
    device_folder: Annotated[
        str | None,
        Option(help="Folder to work in on an ADB device.", show_default="/data/local/tmp/pwl"),
    ] = None,
    out: Annotated[
        Path | None, Option(help="Report folder.", show_default="reports/BUNDLE-DEVICE")
    ] = None,
    rounds: Annotated[int, Option(help="Starts of every arm in every state.", min=1)] = 15,
    states: Annotated[
        str,
        Option(help="Start states: cold, warm, cold-cached (cold, weight caches on disk)."),
    ] = "cold,warm",
    control: Annotated[
        Path | None, Option(help="Control arms.", show_default="beside the bundle")
    ] = None,
    harness: Annotated[
        Path | None,
        Option(help="Built harness package.", show_default="built for the device"),
    ] = None,
    litert_library: Annotated[
        Path | None,
        Option(help="libLiteRt.so of the device's ABI.", show_default="the package's"),
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
    """
    from pipeline.core.locks import writing_folder
    from pipeline.core.outputs import require_file, require_folder
    from pipeline.core.progress import progress_for_terminal
    from pipeline.device.admission import GuardOptions
    from pipeline.device.cores import parse_cores
    from pipeline.device.guards import parse_allowed
    from pipeline.report.integrity import require_right_results
    from pipeline.report.render.tables import print_report
    from pipeline.workflows.measure_device import (
        REPORT_FILES,
        ProfileOptions,
        measure,
        parse_states,
        report_name,
        write_report,
    )

    options = ProfileOptions(
        device=device,
        device_folder=PurePosixPath(device_folder) if device_folder else None,
        states=parse_states(states),
        rounds=rounds,
        control=control,
        harness=harness,
        litert_library=litert_library,
        work=work,
        cores=parse_cores(cores),
        guards=GuardOptions(allow=parse_allowed(allow or ()), wait_s=wait),
    )
    folder = out or Path("reports") / report_name(bundle, device)
    require_folder(folder, "--out")
    for name in REPORT_FILES:
        require_file(folder / name, "--out")
    if harness is None:
        require_folder(work, "--work")
    with writing_folder(folder, "name another with --out"):
        report = measure(bundle, options, progress_for_terminal())
        write_report(report, folder)
    print_report(report)
    print(f"{folder}/report.html shows it\n{folder}/report.json holds every sample")
    require_right_results(report, folder)


if __name__ == "__main__":
    profile()
