"""The folder of several devices' reports: what it holds is of one run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pipeline.core.atomic_files import sha256_of, write_texts
from pipeline.core.errors import PipelineError
from pipeline.report.devices import DEVICES_FILE, DevicesReport, load_devices
from pipeline.workflows.measure_device import REPORT_FILES

#: What `write_devices` writes.
DEVICES_FILES = ("devices.html", DEVICES_FILE)


def write_devices(report: DevicesReport, out: Path) -> None:
    """Writes devices.json and devices.html, which take their places when both are whole."""
    from pipeline.report.render.devices_page import devices_page

    texts = (devices_page(report), report.to_json())
    write_texts(out, dict(zip(DEVICES_FILES, texts, strict=True)))


def forget_devices(out: Path) -> None:
    """Removes what `write_devices` wrote: it is no longer about the reports beside it."""
    for name in DEVICES_FILES:
        (out / name).unlink(missing_ok=True)


def earlier_devices(out: Path) -> DevicesReport | None:
    """What an earlier run wrote into the folder, where it can be read."""
    with suppress(PipelineError):
        return load_devices(out / DEVICES_FILE)
    return None


def remove_stale(earlier: DevicesReport, report: DevicesReport, out: Path) -> None:
    """Removes the reports of an earlier run that this one has not replaced.

    Args:
        earlier: of the earlier run.
        report: of this one, which was measured and written since.
        out: the folder of both. What is not as the earlier run left it is kept.
    """
    kept = {measured.folder for _, measured in report.measured}
    for _, measured in earlier.measured:
        folder = out / measured.folder
        if measured.folder in kept:
            continue
        with suppress(OSError):
            if sha256_of(folder / "report.json") == measured.sha256:
                for name in REPORT_FILES:
                    (folder / name).unlink(missing_ok=True)
                folder.rmdir()
