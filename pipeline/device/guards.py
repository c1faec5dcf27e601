"""What makes a device unfit to be measured: conditions with ids, which can be allowed one by one.

A phone is refused; any other machine is measured all the same, and its report says what was found:
a laptop or a shared machine of CI is hardly ever fit, and nobody takes its numbers for a phone's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

from pipeline.core.errors import UsageError
from pipeline.core.toml_file import Section
from pipeline.device.base import DeviceProperties
from pipeline.device.state import DeviceState

GuardId = Literal[
    "HOT-DEVICE",
    "THROTTLED",
    "LOW-BATTERY",
    "SCREEN-OFF",
    "POWER-SAVE",
    "EMULATOR",
    "BUSY-DEVICE",
    "CACHE-NOT-DROPPED",
    "LOW-SPACE",
    "OTHER-LOAD",
]
GUARD_IDS: tuple[GuardId, ...] = get_args(GuardId)

#: What heat does, in the middle of a measurement too.
HEAT: frozenset[str] = frozenset({"HOT-DEVICE", "THROTTLED"})
#: What passes by itself: worth waiting for.
PASSING_GUARDS: frozenset[str] = HEAT | {"BUSY-DEVICE", "OTHER-LOAD"}

#: A phone's battery is this warm in the hand of somebody who plays; throttling begins above.
HOT_BATTERY_CELSIUS = 40.0
#: 4.5 °C below severe throttling; see `Thermal.headroom`.
HOT_HEADROOM = 0.85
#: Where only the kernel's sensors are known: processors throttle from 85 °C on.
HOT_SENSOR_CELSIUS = 80.0
#: A limit on frequencies below this share of the hardware's own.
FREQUENCY_SHARE = 0.9
#: As androidx.benchmark.
LOW_BATTERY_PERCENT = 25
#: Share of all processors' time; of one processor's by one process.
BUSY_SHARE = 0.25
OTHER_CORES = 0.5
#: When Android itself says that storage runs out (StorageManager.getStorageLowBytes).
LOW_SPACE_SHARE = 0.05
LOW_SPACE_KB = 500 << 10

STATUS_WORDS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

REMEDIES: dict[GuardId, str] = {
    "HOT-DEVICE": "let it lie in a cool place, off its charger, or wait longer (--wait)",
    "THROTTLED": "let it cool, and end what limits its frequencies (game modes, power savers)",
    "LOW-BATTERY": f"charge it to {LOW_BATTERY_PERCENT} %",
    "SCREEN-OFF": "wake it, with Developer options, Stay awake on "
    "(`adb shell svc power stayon true`, `adb shell input keyevent WAKEUP`)",
    "POWER-SAVE": "switch the battery saver off (`adb shell settings put global low_power 0`)",
    "EMULATOR": "measure a phone: what an emulator takes says nothing of one",
    "BUSY-DEVICE": "end what runs there (`adb shell top`), or wait longer (--wait)",
    "CACHE-NOT-DROPPED": "measure warm starts only (--states warm), or in a folder on a disk",
    "LOW-SPACE": "make room: full flash storage is slow",
    "OTHER-LOAD": "end that program, or wait longer (--wait)",
}


class Finding(Section):
    """Something that speaks against a measurement.

    Attributes:
        id: by which it can be allowed.
        text: what was found, in words.
    """

    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


def parse_allowed(ids: Sequence[str]) -> tuple[GuardId, ...]:
    """The guards that are named, in their own order.

    Raises:
        UsageError: there is no such guard.
    """
    for name in ids:
        if name not in GUARD_IDS:
            raise UsageError(f"--allow {name}: no guard", f"name one of {', '.join(GUARD_IDS)}")
    return tuple(name for name in GUARD_IDS if name in ids)


def is_refused(properties: DeviceProperties) -> bool:
    """Whether an unfit device of this kind is refused: Android is, other systems are not."""
    return properties.sdk is not None


def findings(properties: DeviceProperties, state: DeviceState) -> list[Finding]:
    """All that a device and its state say against measuring it now.

    What the device does not say is not held against it.
    """
    return [
        Finding(id=name, text=text)
        for name, guard in _GUARDS.items()
        for text in guard(properties, state)
    ]


def _hot(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    battery, thermal = state.battery.celsius, state.thermal
    if battery is not None and battery >= HOT_BATTERY_CELSIUS:
        yield f"its battery has {battery:.1f} °C ({HOT_BATTERY_CELSIUS:.0f} is too warm)"
    if thermal.headroom is not None and thermal.headroom >= HOT_HEADROOM:
        yield (
            f"its thermal headroom is {thermal.headroom:.2f} (1 is severe throttling, "
            f"{HOT_HEADROOM} is too near)"
        )
    reported = battery is not None or thermal.headroom is not None
    heat = thermal.hottest_celsius
    if not reported and heat is not None and heat >= HOT_SENSOR_CELSIUS:
        yield f"its hottest sensor reads {heat:.0f} °C ({HOT_SENSOR_CELSIUS:.0f} is too hot)"


def _throttled(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    status = state.thermal.status
    if status:
        yield f"it throttles for heat: thermal status {status}, {STATUS_WORDS[status]}"
    limited = [
        core
        for core in state.cores
        if core.limit_khz is not None
        and core.highest_khz is not None
        and core.limit_khz < FREQUENCY_SHARE * core.highest_khz
    ]
    if limited:
        worst = min(limited, key=lambda core: (core.limit_khz or 0) / (core.highest_khz or 1))
        yield (
            f"frequencies of {len(limited)} of {len(state.cores)} cores are limited, core "
            f"{worst.index} to {worst.limit_khz} of {worst.highest_khz} kHz"
        )


def _low_battery(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    level = state.battery.level_percent
    if level is not None and level < LOW_BATTERY_PERCENT:
        yield f"its battery is at {level} % ({LOW_BATTERY_PERCENT} are needed)"


def _screen_off(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    if state.screen_on is False:
        yield "its screen is off: it sleeps, and its large cores with it"


def _power_save(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    if state.power_save:
        yield "it saves power"


def emulator_mark(properties: DeviceProperties) -> str | None:
    """The property by which an Android emulator is known, and its value; None for a real device."""
    extra = properties.extra
    marks = {
        "ro.boot.qemu": extra.get("ro.boot.qemu") == "1",
        "ro.kernel.qemu": extra.get("ro.kernel.qemu") == "1",
        "ro.hardware": extra.get("ro.hardware", "").startswith(
            ("goldfish", "ranchu", "cutf", "vbox86")
        ),
        "ro.build.characteristics": "emulator" in extra.get("ro.build.characteristics", ""),
    }
    found = next((name for name, seen in marks.items() if seen), None)
    return None if found is None else f"{found} is {extra[found]}"


def _emulator(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    if mark := emulator_mark(properties):
        yield f"it is an emulator ({mark})"


def _busy(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    busy = state.busy_share
    if busy is not None and busy > BUSY_SHARE:
        yield f"{busy:.0%} of its processors' time is in use ({BUSY_SHARE:.0%} may be)"


def _low_space(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    free, total = state.space_free_kb, state.space_total_kb
    if not is_refused(properties) or free is None or total is None:
        return
    if free < min(LOW_SPACE_SHARE * total, LOW_SPACE_KB):
        yield f"{free >> 10} MB of its {total >> 10} MB of storage are free"


def _other_load(properties: DeviceProperties, state: DeviceState) -> Iterator[str]:
    heavy = [one for one in state.others if one.cores >= OTHER_CORES]
    if heavy:
        named = ", ".join(f"{one.name} {one.cores:.1f}" for one in heavy)
        yield f"other programs use its cores: {named} of a core"


_GUARDS: dict[GuardId, Callable[[DeviceProperties, DeviceState], Iterator[str]]] = {
    "HOT-DEVICE": _hot,
    "THROTTLED": _throttled,
    "LOW-BATTERY": _low_battery,
    "SCREEN-OFF": _screen_off,
    "POWER-SAVE": _power_save,
    "EMULATOR": _emulator,
    "BUSY-DEVICE": _busy,
    "LOW-SPACE": _low_space,
    "OTHER-LOAD": _other_load,
}
