"""Stand-ins for what Android has and Debian has not: dumpsys, cmd and settings.

They know nothing. What they answer are files that a test writes, in the device's own folder on the
host, so that a phone in any state can be had: hot, asleep, full. With them, the device says that it
runs Android; it is then as little a phone as before.
"""

from __future__ import annotations

import shutil
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "stand_ins" / "answer"
#: In which old releases kept more programs; behind /system/bin on the PATH.
FOLDER = "system/xbin"
COMMANDS = ("dumpsys", "cmd", "settings")
ANSWERS = "answers"
#: Of a release that drops the page cache when it is told to (API level 31 and later).
PROPERTIES = {"ro.build.version.release": "14", "ro.build.version.sdk": "34"}


def prepare(run: Path) -> None:
    """Writes the programs that `bindings` names, and makes the folder of their answers."""
    folder = run / "xbin"
    (folder / ANSWERS).mkdir(parents=True)
    for command in COMMANDS:
        shutil.copyfile(SOURCE, folder / command)
        (folder / command).chmod(0o755)
    for path in (folder, folder / ANSWERS):
        path.chmod(0o755)


def bindings(run: Path) -> list[str]:
    """Bubblewrap's words by which the device has them; it cannot change them."""
    return ["--ro-bind", str(run / "xbin"), f"/{FOLDER}"]
