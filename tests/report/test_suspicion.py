"""What speaks against a report's timings whatever its numbers are."""

from __future__ import annotations

import pytest

from pipeline.report.suspicion import suspicions
from tests.report.builder import DEVICE, report

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
