"""The loopback device as a phone: what dumpsys and the others say is what a test has it say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import dumpsys_texts as texts

BATTERY = "dumpsys battery"
THERMAL = "dumpsys thermalservice"
HEADROOM = "cmd thermalservice headroom 0"
POWER = "dumpsys power"
LOW_POWER = "settings get global low_power"
#: The shell's property is taken back, as by a phone's init.
DROPS_CACHES = "perf.drop_caches"

#: A phone that can be measured.
FIT = {
    BATTERY: texts.BATTERY_7,
    THERMAL: texts.THERMAL_15,
    HEADROOM: texts.HEADROOM_15,
    POWER: texts.POWER_7,
    LOW_POWER: "null\n",
    DROPS_CACHES: "",
}


class Phone:
    """A loopback device with stand-ins.

    Args:
        start: starts one; see `tests.conftest.start_loopback`.
        options: of `scripts/loopback-device start`.

    Attributes:
        spec: its name.
    """

    def __init__(self, start: Callable[..., dict[str, Any]], *options: str) -> None:
        record = start("--stand-ins", *options)
        self.spec: str = record["spec"]
        self._folder = Path(record["folder"])
        self._properties = self._folder / "properties"
        self._before = {path.name: path.read_text() for path in self._properties.iterdir()}
        self.reset()

    def says(self, command: str, text: str | None) -> None:
        """Has a command answer so; None: as if the service was not there."""
        path = self._folder / "xbin" / "answers" / command
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)

    def has(self, name: str, value: str) -> None:
        """Gives a property a value."""
        (self._properties / name).write_text(value)

    def reset(self) -> None:
        """Makes it fit to be measured."""
        for path in (self._folder / "xbin" / "answers").iterdir():
            path.unlink()
        for command, text in FIT.items():
            self.says(command, text)
        for path in self._properties.iterdir():
            if path.name not in self._before:
                path.unlink()
        for name, value in self._before.items():
            self.has(name, value)
