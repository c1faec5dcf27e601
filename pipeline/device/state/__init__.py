"""The state of a device while it is measured: what makes numbers other than they need to be."""

from pipeline.device.state.device_state import (
    Battery,
    Core,
    DeviceState,
    OtherProcess,
    Thermal,
)
from pipeline.device.state.read import WATCH_S, read_state

__all__ = ["WATCH_S", "Battery", "Core", "DeviceState", "OtherProcess", "Thermal", "read_state"]
