"""What the kernel's files say: /proc and /sys, as lines of a key and its value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.device.state.device_state import Battery, Core, OtherProcess

#: What /proc counts processors' time in is a hundredth of a second wherever Linux runs.
TICKS_PER_S = 100
#: A reading of a sensor beyond these is none: many name a place that has no sensor.
CELSIUS = (-40.0, 150.0)
#: So many other processes are named, of those that use this much of a core.
MOST_OTHERS = 5
LEAST_CORES = 0.05
#: Of the largest number that the kernel counts to. Python refuses to read thousands of digits.
_COUNT_DIGITS = 20
#: What the kernel calls the state of a battery.
_CHARGING = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}


@dataclass(frozen=True, slots=True)
class Watched:
    """What ran while the processors were watched.

    Attributes:
        busy_share: share of all processors' time that was in use.
        others: the processes that used most.
    """

    busy_share: float | None = None
    others: tuple[OtherProcess, ...] = ()


def number(text: str, low: float = -math.inf, high: float = math.inf) -> float | None:
    """A finite number within limits; None for everything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def whole(text: str) -> int | None:
    """A whole number that a machine counts with; None for everything else."""
    value = number(text, -(2**63), 2**63)
    return None if value is None else int(value)


def _count(text: str) -> int | None:
    """What the kernel counts up, as it writes it; None for everything else."""
    return int(text) if text.isdecimal() and len(text) <= _COUNT_DIGITS else None


def facts(text: str) -> Iterator[tuple[str, str]]:
    """The first word of every line, and the rest; lines without a rest are left out."""
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if value.strip():
            yield key, value.strip()


def _facts_by_name(text: str) -> dict[str, dict[str, str]]:
    """What the lines say: their first word names a thing, the second a fact of it."""
    found: dict[str, dict[str, str]] = {}
    for key, value in facts(text):
        name, _, rest = value.partition(" ")
        found.setdefault(key, {})[name] = rest.strip()
    return found


def watched(text: str) -> Watched:
    """From readings of /proc/stat, /proc/uptime and the processes' times, twice each."""
    found: dict[str, list[str]] = {}
    for key, value in facts(text):
        found.setdefault(key, []).append(value)
    uptimes = [number(value.split()[0]) for value in found.get("uptime", ())]
    if len(uptimes) != 2 or uptimes[0] is None or uptimes[1] is None:
        return Watched(_busy_share(found.get("cpu", [])))
    passed = uptimes[1] - uptimes[0]
    others = _others(found.get("process", ()), passed) if passed > 0 else ()
    return Watched(_busy_share(found.get("cpu", [])), tuple(others))


def _busy_share(readings: list[str]) -> float | None:
    """From two "cpu" lines of /proc/stat: user, nice, system, idle, iowait... in ticks."""
    counts = ([_count(word) for word in line.split()] for line in readings)
    ticks = [[count for count in line if count is not None] for line in counts]
    if len(ticks) != 2 or len(ticks[0]) != len(ticks[1]) or len(ticks[0]) < 5:
        return None
    passed = [after - before for before, after in zip(*ticks, strict=True)]
    total = sum(passed)
    if total <= 0:
        return None
    share: float = 1 - (passed[3] + passed[4]) / total
    return round(min(1.0, max(0.0, share)), 3)


def _others(lines: Iterable[str], passed_s: float) -> list[OtherProcess]:
    found: list[OtherProcess] = []
    for line in lines:
        words = line.split(None, 4)
        counts = [count for word in words[:4] if (count := _count(word)) is not None]
        if len(words) != 5 or len(counts) != 4:
            continue
        ticks = counts[2] + counts[3] - counts[0] - counts[1]
        cores = ticks / TICKS_PER_S / passed_s
        if LEAST_CORES <= cores < 2**16:
            found.append(OtherProcess(name=_printable(words[4]), cores=round(cores, 2)))
    return sorted(found, key=lambda one: (-one.cores, one.name))[:MOST_OTHERS]


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:15]


def memory_available_kb(text: str) -> int | None:
    """MemAvailable of /proc/meminfo."""
    return next((whole(value) for key, value in facts(text) if key == "available"), None)


def load_1min(text: str) -> float | None:
    """The first number of /proc/loadavg."""
    lines = (value.split()[0] for key, value in facts(text) if key == "load")
    return next((number(value, 0) for value in lines), None)


def space_kb(text: str) -> tuple[int, int] | None:
    """Free and total kB of a file system, from its block size, free and total blocks."""
    words = [whole(word) for word in text.split()]
    if len(words) != 3:
        return None
    block, free, total = words
    if block is None or free is None or total is None or block <= 0 or not 0 <= free <= total:
        return None
    return block * free // 1024, block * total // 1024


def zones_celsius(text: str) -> list[float]:
    """Readings of the thermal zones, which count in thousandths of a degree."""
    readings = (_celsius(value, 1000) for key, value in facts(text) if key == "celsius")
    return [value for value in readings if value is not None]


def _celsius(text: str, parts: int) -> float | None:
    """A reading that counts in so many parts of a degree, in °C; None where no sensor is."""
    value = number(text)
    if value is None or not CELSIUS[0] < value / parts < CELSIUS[1]:
        return None
    return value / parts


def cores(text: str) -> tuple[Core, ...]:
    """Every processor that /sys/devices/system/cpu has, by its number."""
    found = {
        index: values
        for key, values in _facts_by_name(text).items()
        if (index := _count(key)) is not None and index < 2**16
    }

    def core(index: int, values: dict[str, str]) -> Core:
        online = values.get("online")
        return Core(
            index=index,
            online={"1": True, "0": False}.get(online or ""),
            capacity=whole(values.get("capacity", "")),
            governor=values.get("governor") or None,
            khz=whole(values.get("khz", "")),
            limit_khz=whole(values.get("limit", "")),
            highest_khz=whole(values.get("highest", "")),
        )

    return tuple(core(index, values) for index, values in sorted(found.items()))


def battery_of_supplies(text: str) -> Battery:
    """The machine's own battery among the power supplies; not that of a mouse."""
    for values in _facts_by_name(text).values():
        if values.get("type") != "Battery" or values.get("scope") == "Device":
            continue
        level = number(values.get("capacity", ""), 0, 100)
        return Battery(
            level_percent=None if level is None else int(level),
            celsius=_celsius(values.get("temp", ""), 10),
            charging=_CHARGING.get(values.get("status", "")),
        )
    return Battery()
