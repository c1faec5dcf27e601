"""The state of a device while it is measured: what makes numbers higher than they need to be."""

from __future__ import annotations

from pipeline.core.toml_file import Section
from pipeline.device.base import Device

# One round trip; a line a fact, and no line where the device does not say. The two readings of
# /proc/stat, half a second apart, tell what runs besides us right now; the load average would still
# count what we ourselves did a minute ago.
_PROBE = r"""
read cpu < /proc/stat 2>/dev/null && echo "$cpu"
sleep 0.5
read cpu < /proc/stat 2>/dev/null && echo "$cpu"
read load rest < /proc/loadavg 2>/dev/null && echo "load $load"
while read key value rest; do [ "$key" = MemAvailable: ] && echo "memory $value"; done \
  < /proc/meminfo 2>/dev/null
for f in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
  [ -r "$f" ] && echo "governor $(cat "$f")"
done
for f in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq; do
  [ -r "$f" ] && echo "khz $(cat "$f")"
done
for f in /sys/class/thermal/thermal_zone[0-9]*/temp; do
  [ -r "$f" ] && echo "temperature $(cat "$f" 2>/dev/null)"
done
level=$(cat /sys/class/power_supply/battery/capacity 2>/dev/null) && echo "battery $level"
exit 0
"""


class DeviceState(Section):
    """What a device says about its load. None or empty where it does not say.

    Attributes:
        busy_share: share of all processors' time that was in use for half a second.
        load_1min: runnable processes, averaged over a minute.
        memory_available_kb: memory that programs could still take.
        governors: frequency governor of each core that has one.
        frequencies_khz: current frequency of each core that tells it.
        hottest_celsius: the highest reading of all thermal zones.
        battery_percent: charge.
    """

    busy_share: float | None
    load_1min: float | None
    memory_available_kb: int | None
    governors: tuple[str, ...]
    frequencies_khz: tuple[int, ...]
    hottest_celsius: float | None
    battery_percent: int | None


def read_state(device: Device) -> DeviceState:
    """Asks the device for its state.

    Raises:
        DeviceError: the device is gone.
    """
    done = device.run(["sh", "-c", _PROBE], deadline_s=30.0)
    facts: dict[str, list[str]] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        if value.strip():
            facts.setdefault(key, []).append(value.strip())
    heat = [float(text) for text in facts.get("temperature", []) if _is_number(text)]
    return DeviceState(
        busy_share=_busy_share(facts.get("cpu", [])),
        load_1min=_first(facts.get("load", [])),
        memory_available_kb=_whole(_first(facts.get("memory", []))),
        governors=tuple(facts.get("governor", [])),
        frequencies_khz=tuple(int(text) for text in facts.get("khz", []) if text.isdigit()),
        # The kernel counts in millidegrees.
        hottest_celsius=max(heat) / 1000 if heat else None,
        battery_percent=_whole(_first(facts.get("battery", []))),
    )


def _busy_share(readings: list[str]) -> float | None:
    """From two "cpu" lines of /proc/stat: user, nice, system, idle, iowait... in ticks."""
    ticks = [[int(word) for word in line.split() if word.isdigit()] for line in readings]
    if len(ticks) != 2 or min(len(line) for line in ticks) < 5:
        return None
    passed = [after - before for before, after in zip(*ticks, strict=True)]
    total = sum(passed)
    return round(1 - (passed[3] + passed[4]) / total, 3) if total > 0 else None


def _first(values: list[str]) -> float | None:
    return float(values[0]) if values and _is_number(values[0]) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
