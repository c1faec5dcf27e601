"""What speaks against a report's timings whatever its numbers are."""

from __future__ import annotations

import pytest

from pipeline.device.state import Battery, DeviceState, Thermal
from pipeline.report.suspicion import suspicions
from tests.report.builder import DEVICE, STATE, report

PHONE = {**DEVICE, "kind": "adb", "abi": "arm64-v8a", "system": "Android 16", "sdk": 36}
EMULATOR = {**PHONE, "abi": "x86_64"}


@pytest.mark.parametrize(
    ("device", "target", "found"),
    [
        (DEVICE, "host", []),
        (PHONE, "android-arm64", []),
        (PHONE, "linux-arm64", ["glibc harness: not bionic"]),
        (DEVICE, "linux-arm64", ["glibc harness: not bionic"]),
        (EMULATOR, "host", ["glibc harness: not bionic"]),
    ],
)
def test_a_harness_with_another_c_library_than_an_app_s_is_suspect(
    device: dict[str, object], target: str, found: list[str]
) -> None:
    ours = report({}, device=device, target=target)
    assert [reason.text for reason in suspicions(ours)] == found


def test_a_look_between_rounds_counts_once_however_much_heat_it_shows() -> None:
    hot = DeviceState(battery=Battery(celsius=45.0), thermal=Thermal(headroom=0.9))
    ours = report({})
    context = ours.context.model_copy(update={"between": (hot, hot, STATE)})
    (found,) = suspicions(ours.model_copy(update={"context": context}))
    assert found.id == "HOT-DEVICE"
    assert found.text.endswith("at 2 of 3 looks between rounds")
