"""The facts that a device's state tells, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.core.formatting import size
from pipeline.device.guards import STATUS_WORDS
from pipeline.device.state import DeviceState


def state_words(state: DeviceState) -> dict[str, str]:
    """Each fact that a state tells, in words, by its name."""
    return {name: text for name, words in FACTS if (text := words(state))}


def _number(value: float | None, form: str, unit: str = "") -> str | None:
    return None if value is None else f"{value:{form}}{unit}"


def _word(value: bool | None, yes: str, no: str) -> str | None:
    return None if value is None else (yes if value else no)


def _kilobytes(value: int | None) -> str | None:
    return None if value is None else size(value * 1024)


def _battery(state: DeviceState) -> str | None:
    battery = state.battery
    parts = [
        _number(battery.level_percent, "d", " %"),
        _number(battery.celsius, ".1f", " °C"),
        _word(battery.charging, "charging", "discharging"),
    ]
    return ", ".join(filter(None, parts)) or None


def _status(state: DeviceState) -> str | None:
    status = state.thermal.status
    return None if status is None else f"{status}, {STATUS_WORDS[status]}"


def _governors(state: DeviceState) -> str | None:
    return _runs([core.governor for core in state.cores])


def _frequencies(state: DeviceState) -> str | None:
    """Limit over hardware's own, in MHz, where they are known."""
    return _runs(
        [
            f"{core.limit_khz // 1000}/{core.highest_khz // 1000} MHz"
            if core.limit_khz and core.highest_khz
            else None
            for core in state.cores
        ]
    )


def _capacities(state: DeviceState) -> str | None:
    return _runs([_number(core.capacity, "d") for core in state.cores])


def _runs(values: Sequence[str | None]) -> str | None:
    """``4 x 280, 3 x 850``: neighbors that say the same together."""
    found: list[tuple[str, int]] = []
    for value in values:
        text = value or "?"
        if found and found[-1][0] == text:
            found[-1] = (text, found[-1][1] + 1)
        else:
            found.append((text, 1))
    if all(text == "?" for text, _ in found):
        return None
    return ", ".join(f"{count} x {text}" if count > 1 else text for text, count in found)


def _others(state: DeviceState) -> str | None:
    if state.busy_share is None:
        return None
    return ", ".join(f"{one.name} {one.cores:.1f}" for one in state.others) or "none"


#: A fact's name, and how it reads; None where the device does not say.
FACTS: tuple[tuple[str, Callable[[DeviceState], str | None]], ...] = (
    ("battery", _battery),
    ("thermal status", _status),
    ("thermal headroom", lambda state: _number(state.thermal.headroom, ".2f")),
    ("skin", lambda state: _number(state.thermal.skin_celsius, ".1f", " °C")),
    ("hottest sensor", lambda state: _number(state.thermal.hottest_celsius, ".0f", " °C")),
    ("screen", lambda state: _word(state.screen_on, "on", "off")),
    ("power saving", lambda state: _word(state.power_save, "on", "off")),
    ("governors", _governors),
    ("frequencies", _frequencies),
    ("cores by capacity", _capacities),
    ("processors in use", lambda state: _number(state.busy_share, ".0%")),
    ("other programs", _others),
    ("memory available", lambda state: _kilobytes(state.memory_available_kb)),
    ("storage free", lambda state: _kilobytes(state.space_free_kb)),
)
