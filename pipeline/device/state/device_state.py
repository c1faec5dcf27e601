"""What a device says of its state, as a report keeps it. None or empty where it does not say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.core.toml_file import Section

Percent = Annotated[int, Field(ge=0, le=100)]


class Battery(Section):
    """The battery.

    Attributes:
        level_percent: charge.
        celsius: its temperature.
        charging: whether it takes charge, or is full on a charger.
    """

    level_percent: Percent | None = None
    celsius: float | None = None
    charging: bool | None = None


class Thermal(Section):
    """Heat.

    Attributes:
        status: of Android's thermal service: 0 none, 1 light, 2 moderate, 3 severe, 4 critical,
            5 emergency, 6 shutdown.
        headroom: of the same: 1 where throttling becomes severe, 0.1 less for every 3 °C below
            that; of this moment, not a forecast.
        skin_celsius: the warmest place of the surface that it measures.
        hottest_celsius: the highest reading of all sensors.
    """

    status: Annotated[int, Field(ge=0, le=6)] | None = None
    headroom: Annotated[float, Field(ge=0)] | None = None
    skin_celsius: float | None = None
    hottest_celsius: float | None = None


class Core(Section):
    """One processor.

    Attributes:
        index: as affinities name it.
        online: whether it runs.
        capacity: of 1024, that of the largest core, as the scheduler reckons.
        governor: what chooses its frequency.
        khz: its frequency now.
        limit_khz: the highest that it may have now.
        highest_khz: the highest that it can have.
    """

    index: int
    online: bool | None = None
    capacity: int | None = None
    governor: str | None = None
    khz: int | None = None
    limit_khz: int | None = None
    highest_khz: int | None = None


class OtherProcess(Section):
    """A process that used a processor while the state was read.

    Attributes:
        name: its name, at most 15 characters.
        cores: processors' time that it used, over the time that passed: 1.0 is one whole core.
    """

    name: str
    cores: float


class DeviceState(Section):
    """The state of a device at one moment.

    Attributes:
        battery: charge and its temperature.
        thermal: heat, and whether the system throttles for it.
        screen_on: whether the device is awake with its screen on.
        power_save: whether the system saves power.
        cores: every processor.
        memory_available_kb: memory that programs could still take.
        space_free_kb: free space where the programs lie.
        space_total_kb: size of that storage.
        busy_share: share of all processors' time that was in use for a moment; None where the
            state was read without waiting for that.
        load_1min: runnable processes, averaged over a minute.
        others: the processes that used most of the processors in that moment, the first the most.
    """

    battery: Battery = Battery()
    thermal: Thermal = Thermal()
    screen_on: bool | None = None
    power_save: bool | None = None
    cores: tuple[Core, ...] = ()
    memory_available_kb: int | None = None
    space_free_kb: int | None = None
    space_total_kb: int | None = None
    busy_share: float | None = None
    load_1min: float | None = None
    others: tuple[OtherProcess, ...] = ()
