"""Stand-ins for what Android has and Debian has not: dumpsys, cmd, settings, cores of two sizes.

They know nothing. What they answer are files that a test writes, in the device's own folder on the
host, so that a phone in any state can be had: hot, asleep, full. With them, the device says that it
runs Android, and that its first core is a little one, if it has others; it is then as little a
phone as before.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "stand_ins" / "answer"
#: In which old releases kept more programs; behind /system/bin on the PATH.
FOLDER = "system/xbin"
COMMANDS = ("dumpsys", "cmd", "settings")
ANSWERS = "answers"
#: Of a release that drops the page cache when it is told to (API level 31 and later).
PROPERTIES = {"ro.build.version.release": "14", "ro.build.version.sdk": "34"}
CORES = Path("/sys/devices/system/cpu")
LITTLE, BIG = 400, 1024


def prepare(run: Path) -> None:
    """Writes the programs that `bindings` names, and makes the folder of their answers."""
    folder = run / "xbin"
    (folder / ANSWERS).mkdir(parents=True)
    for command in COMMANDS:
        shutil.copyfile(SOURCE, folder / command)
        (folder / command).chmod(0o755)
    for path in (folder, folder / ANSWERS):
        path.chmod(0o755)
    _write_cores(run / "cores")


def bindings(run: Path) -> list[str]:
    """Bubblewrap's words by which the device has them; it cannot change them."""
    return [
        *("--ro-bind", str(run / "xbin"), f"/{FOLDER}"),
        *("--ro-bind", str(run / "cores"), str(CORES)),
    ]


def _write_cores(folder: Path) -> None:
    """Those of this machine, as far as programs need to know them, with sizes as phones have."""
    folder.mkdir()
    for name in ("possible", "present", "online"):
        shutil.copyfile(CORES / name, folder / name)
    count = os.cpu_count() or 1
    for number in range(count):
        core = folder / f"cpu{number}"
        topology = CORES / core.name / "topology"
        (core / "topology").mkdir(parents=True)
        for file in topology.iterdir() if topology.is_dir() else ():
            shutil.copyfile(file, core / "topology" / file.name)
        size = LITTLE if number == 0 and count > 1 else BIG
        (core / "cpu_capacity").write_text(f"{size}\n")
