"""What Android's services say: the texts of dumpsys, which have changed from release to release.

Nothing here believes more than one line at a time: what a release does not print, or prints in
another way, is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.device.state.device_state import Battery, Thermal
from pipeline.device.state.kernel import CELSIUS, number

#: android.os.BatteryManager: BATTERY_STATUS_CHARGING, _DISCHARGING, _NOT_CHARGING, _FULL.
_CHARGING = {"2": True, "3": False, "4": False, "5": True}
#: android.os.Temperature: TYPE_SKIN, and those that are temperatures of something (voltages and
#: currents of the battery are "temperatures", too).
SKIN = "3"
TEMPERATURES = {"0", "1", "2", "3", "4", "5", "9"}
#: PowerManagerInternal's words for wakefulness, and whether the screen shows something then.
AWAKE = {"Awake": True, "Dreaming": True, "Asleep": False, "Dozing": False}
#: How far below the limit of severe throttling Android's headroom is 0
#: (ThermalManagerService.TemperatureWatcher.DEGREES_BETWEEN_ZERO_AND_ONE), and where that limit
#: stands among a sensor's (android.os.Temperature.THROTTLING_SEVERE).
HEADROOM_CELSIUS = 30.0
SEVERE = 3

_STATUS = re.compile(r"^Thermal Status: ([0-6])\s*$", re.MULTILINE)
_TEMPERATURE = re.compile(
    r"^\s*Temperature\{mValue=(?P<value>[^,\s]+), mType=(?P<type>\d+), mName=(?P<name>[^,}]*)"
)
# Of Android's own class and of the HAL's, which Android 10 to 13 print for HAL 2.0.
_THRESHOLDS = (
    re.compile(
        r"^\s*TemperatureThreshold\{mType=(?P<type>\d+), mName=(?P<name>[^,}]*), "
        r"mHotThrottlingThresholds=\[(?P<hot>[^\]]*)\]"
    ),
    re.compile(
        r"^\s*\{\.type = (?P<type>\w+), \.name = (?P<name>[^,}]*), "
        r"\.hotThrottlingThresholds = \[(?P<hot>[^\]]*)\]"
    ),
)
_HEADROOM = re.compile(r"^Headroom in 0 seconds: (\S+)\s*$", re.MULTILINE)


def battery(text: str) -> Battery | None:
    """`dumpsys battery`; None where that is not what the text is."""
    lines = iter(text.splitlines())
    if not any(line.startswith("Current Battery Service state:") for line in lines):
        return None
    fields: dict[str, str] = {}
    for line in lines:
        if not line.startswith(" "):  # what follows, as an event log does, is of another time
            break
        key, _, value = line.strip().partition(": ")
        fields.setdefault(key, value.strip())
    if fields.get("present") == "false":
        return Battery()
    level, scale = number(fields.get("level", ""), 0), number(fields.get("scale", "100"), 1)
    heat = number(fields.get("temperature", ""), 10 * CELSIUS[0], 10 * CELSIUS[1])
    known = level is not None and scale is not None and level <= scale
    return Battery(
        level_percent=round(100 * level / scale) if known and level is not None and scale else None,
        celsius=None if heat is None else heat / 10,
        charging=_CHARGING.get(fields.get("status", "")),
    )


def thermal(text: str, headroom: str, zones: Sequence[float]) -> Thermal:
    """`dumpsys thermalservice` and `cmd thermalservice headroom 0` (Android 15 and later).

    Earlier releases do not print the headroom, but all that it is reckoned from. Temperatures that
    the service remembers ("Cached") are those of the last change: minutes old.

    Args:
        text: of the former.
        headroom: of the latter.
        zones: what the kernel's own sensors read, °C.
    """
    current = _block(text, "Current temperatures from HAL:")
    readings: list[tuple[str, str, float]] = []
    for match in filter(None, map(_TEMPERATURE.match, current)):
        value = number(match["value"], *CELSIUS)
        if value and match["type"] in TEMPERATURES:  # exactly 0: no sensor there
            readings.append((match["type"], match["name"], value))
    skin = {name: value for kind, name, value in readings if kind == SKIN}
    status, forecast = _STATUS.search(text), _HEADROOM.search(headroom)
    known = number(forecast[1], 0, 100) if forecast else None
    all_heat = [*zones, *(value for _, _, value in readings)]
    return Thermal(
        status=int(status[1]) if status else None,
        headroom=_headroom(text, skin) if known is None else round(known, 3),
        skin_celsius=max(skin.values(), default=None),
        hottest_celsius=max(all_heat, default=None),
    )


def _block(text: str, title: str) -> list[str]:
    """The indented lines below a title."""
    _, _, rest = text.partition(f"{title}\n")
    found: list[str] = []
    for line in rest.splitlines():
        if not line.startswith(("\t", " ")):
            break
        found.append(line)
    return found


def _headroom(text: str, skin: dict[str, float]) -> float | None:
    """As Android reckons it: the largest of all skin sensors that have a severe limit."""
    found: list[float] = []
    for line in _block(text, "Temperature static thresholds from HAL:"):
        for match in filter(None, (pattern.match(line) for pattern in _THRESHOLDS)):
            limits = match["hot"].split(",")
            limit = number(limits[SEVERE], *CELSIUS) if len(limits) > SEVERE else None
            heat = skin.get(match["name"])
            if match["type"] in (SKIN, "SKIN") and limit is not None and heat is not None:
                found.append(max(0.0, 1 - (limit - heat) / HEADROOM_CELSIUS))
    return round(max(found), 3) if found else None


def screen_on(power: str) -> bool | None:
    """From `dumpsys power`: whether the device is awake."""
    words = re.findall(r"^\s*mWakefulness(?:Raw)?=(\w+)\s*$", power, re.MULTILINE)
    return AWAKE.get(words[0]) if words else None


def power_save(setting: str, power: str) -> bool | None:
    """From `settings get global low_power` and `dumpsys power`: whether power is saved.

    The setting has no value, and the framework takes it for 0, until it was switched on once.
    """
    machine = re.search(r"^Battery saver state machine:\s*\n\s*Enabled=(\w+)", power, re.MULTILINE)
    older = re.search(r"^\s*mLowPowerModeEnabled=(\w+)\s*$", power, re.MULTILINE)
    known = [
        {"1": True, "0": False, "null": False}.get(setting.strip()),
        *({"true": True, "false": False}.get(found[1]) for found in (machine, older) if found),
    ]
    return None if all(one is None for one in known) else any(known)
