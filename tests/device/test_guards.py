"""What a phone is refused for, over a real adbd; and what any other machine is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.device import guards
from pipeline.device.admission import Admission, GuardOptions, NotFitError
from pipeline.device.base import Device, DeviceProperties
from pipeline.device.connect import connect
from pipeline.device.guards import GUARD_IDS, GuardId, findings, parse_allowed
from pipeline.device.local import LocalDevice
from pipeline.device.state import Core, DeviceState, OtherProcess

from . import dumpsys_texts as texts
from .phone import BATTERY, HEADROOM, LOW_POWER, POWER, THERMAL, Phone

PHONE = DeviceProperties(
    kind="adb",
    serial="x",
    model="x",
    abi="arm64-v8a",
    system="Android 14",
    sdk=34,
    cores=8,
    memory_bytes=None,
)
HOST = PHONE.model_copy(update={"kind": "local", "sdk": None, "system": "Linux 6"})
#: Other programs run where tests do.
SHARED_BUT_SPACE: tuple[GuardId, ...] = ("BUSY-DEVICE", "OTHER-LOAD", "THROTTLED")
SHARED: tuple[GuardId, ...] = (*SHARED_BUT_SPACE, "LOW-SPACE")


@contextmanager
def admission(spec: str, *allow: GuardId, wait_s: float = 0) -> Iterator[Admission]:
    with connect(spec) as device:
        options = GuardOptions(allow=allow, wait_s=wait_s)
        yield Admission(device, device.properties(), options, Silent())


HOT_BATTERY = texts.BATTERY_7.replace("temperature: 301", "temperature: 413")
EMPTY_BATTERY = texts.BATTERY_7.replace("level: 57", "level: 24")
REFUSED: dict[str, tuple[GuardId, str, Callable[[Phone], None]]] = {
    "battery": (
        "HOT-DEVICE",
        "its battery has 41.3 °C (40 is too warm)",
        lambda phone: phone.says(BATTERY, HOT_BATTERY),
    ),
    "headroom": (
        "HOT-DEVICE",
        "its thermal headroom is 0.91",
        lambda phone: phone.says(HEADROOM, "Headroom in 0 seconds: 0.91\n"),
    ),
    "status": (
        "THROTTLED",
        "it throttles for heat: thermal status 2, moderate",
        lambda phone: phone.says(THERMAL, texts.THERMAL_12),
    ),
    "level": (
        "LOW-BATTERY",
        "its battery is at 24 % (25 are needed)",
        lambda phone: phone.says(BATTERY, EMPTY_BATTERY),
    ),
    "screen": (
        "SCREEN-OFF",
        "its screen is off",
        lambda phone: phone.says(POWER, "  mWakefulness=Dozing\n"),
    ),
    "setting": ("POWER-SAVE", "it saves power", lambda phone: phone.says(LOW_POWER, "1\n")),
    "emulator": (
        "EMULATOR",
        "it is an emulator (ro.hardware is ranchu)",
        lambda phone: phone.has("ro.hardware", "ranchu"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_phone_is_refused_with_the_reason_the_remedy_and_the_way_round(
    case: str, phone: Phone
) -> None:
    name, said, make = REFUSED[case]
    make(phone)
    others: Sequence[GuardId] = [one for one in SHARED if one != name]
    with (
        admission(phone.spec, *others) as door,
        pytest.raises(NotFitError, match="cannot be measured now") as caught,
    ):
        door.require_fit(watch_s=0)
    assert f"{name}: {said}" in caught.value.what
    assert f"--allow {name}" in caught.value.remedy
    assert guards.REMEDIES[name] in caught.value.remedy
    assert int(caught.value.code) == 3
    with connect(phone.spec) as device:
        properties, options = device.properties(), GuardOptions(allow=(name, *SHARED), wait_s=0)
        state = Admission(device, properties, options, Silent()).require_fit(watch_s=0)
    assert name in [one.id for one in findings(properties, state)]


def test_a_phone_that_is_fit_is_let_in(phone: Phone) -> None:
    with admission(phone.spec, *SHARED) as door:
        state = door.require_fit(watch_s=0)
    assert state.battery.level_percent == 57
    assert state.thermal.headroom == 0.61
    assert state.screen_on is True
    assert state.power_save is False


def test_a_phone_that_says_nothing_of_itself_is_let_in(phone: Phone) -> None:
    for command in (BATTERY, THERMAL, HEADROOM, POWER, LOW_POWER):
        phone.says(command, None)
    with admission(phone.spec, *SHARED) as door:
        state = door.require_fit(watch_s=0)
    assert state.screen_on is None
    assert state.thermal.status is None


def test_a_busy_phone_is_refused_and_the_program_named(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "BUSY_SHARE", 0.0)
    monkeypatch.setattr(guards, "OTHER_CORES", 0.0)
    loop = "while :; do :; done"
    with connect(phone.spec) as other, admission(phone.spec, "LOW-SPACE", "THROTTLED") as door:
        start = f"sh -c '{loop}' </dev/null >/dev/null 2>&1 & echo $!"
        number = other.run(["sh", "-c", start], deadline_s=10).stdout.decode().strip()
        try:
            with pytest.raises(NotFitError) as caught:
                door.require_fit(watch_s=0.5)
        finally:
            other.run(["kill", "-9", number], deadline_s=10)
    assert "BUSY-DEVICE: " in caught.value.what
    assert "OTHER-LOAD: other programs use its cores: " in caught.value.what
    assert "cores: sh " in caught.value.what


def test_a_phone_without_room_is_refused(small_phone: Phone) -> None:
    with connect(small_phone.spec) as device:
        ballast = str(device.workdir / "ballast")
        door = Admission(device, device.properties(), GuardOptions(SHARED_BUT_SPACE, 0), Silent())
        # Other tests may have left their bundles there.
        free_kb = door.require_fit(watch_s=0).space_free_kb
        assert free_kb is not None
        fill = ["dd", "if=/dev/zero", f"of={ballast}", "bs=1024", f"count={free_kb - 2048}"]
        assert device.run(fill, deadline_s=30).returncode == 0
        try:
            with pytest.raises(NotFitError, match=r"LOW-SPACE: \d MB of its 64 MB"):
                door.require_fit(watch_s=0)
        finally:
            device.run(["rm", ballast], deadline_s=10)
        assert door.require_fit(watch_s=0).space_total_kb == 64 << 10


@pytest.mark.parametrize(
    ("state", "name", "said"),
    [
        (DeviceState(busy_share=0.26), "BUSY-DEVICE", "26% of its processors' time"),
        (
            DeviceState(others=(OtherProcess(name="dex2oat64", cores=0.9),)),
            "OTHER-LOAD",
            "dex2oat64 0.9 of a core",
        ),
        (
            DeviceState(space_free_kb=400 << 10, space_total_kb=100 << 20),
            "LOW-SPACE",
            "400 MB of its 102400 MB",
        ),
        (
            DeviceState(
                cores=(
                    Core(index=0, limit_khz=1_800_000, highest_khz=1_800_000),
                    Core(index=7, limit_khz=1_500_000, highest_khz=2_900_000),
                )
            ),
            "THROTTLED",
            "1 of 2 cores are limited, core 7 to 1500000 of 2900000 kHz",
        ),
    ],
)
def test_what_a_state_says_against_measuring(state: DeviceState, name: str, said: str) -> None:
    (found,) = findings(PHONE, state)
    assert found.id == name
    assert said in found.text


def test_a_small_storage_may_be_nearly_full() -> None:
    """As Android reckons: 5 % of it, and never more than 500 MB."""
    assert findings(PHONE, DeviceState(space_free_kb=60 << 10, space_total_kb=1 << 20)) == []


def test_a_machine_that_is_no_phone_is_never_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "BUSY_SHARE", -1.0)
    with LocalDevice(tmp_path) as device:
        state = Admission(device, HOST, GuardOptions(wait_s=0), Silent()).require_fit(0.01)
        door = Admission(device, HOST, GuardOptions(), Silent())
        door.require("CACHE-NOT-DROPPED", "tmpfs")
    assert [one.id for one in findings(HOST, state) if one.id == "BUSY-DEVICE"]


def test_its_full_disk_says_nothing_of_its_speed() -> None:
    assert findings(HOST, DeviceState(space_free_kb=0, space_total_kb=1 << 20)) == []


def test_a_cache_that_is_not_dropped_refuses_a_phone(tmp_path: Path) -> None:
    with LocalDevice(tmp_path) as device:
        with pytest.raises(NotFitError, match="CACHE-NOT-DROPPED: it stays") as caught:
            Admission(device, PHONE, GuardOptions(), Silent()).require(
                "CACHE-NOT-DROPPED", "it stays"
            )
        assert "--states warm" in caught.value.remedy
        allowed = GuardOptions(allow=("CACHE-NOT-DROPPED",))
        Admission(device, PHONE, allowed, Silent()).require("CACHE-NOT-DROPPED", "it stays")


@pytest.mark.parametrize("wrong", ["hot-device", "WRONG-RESULTS", ""])
def test_only_guards_can_be_allowed(wrong: str) -> None:
    with pytest.raises(UsageError, match="--allow") as caught:
        parse_allowed(["EMULATOR", wrong])
    assert all(name in caught.value.remedy for name in GUARD_IDS)


def test_what_is_allowed_twice_is_allowed_once() -> None:
    assert parse_allowed(["EMULATOR", "HOT-DEVICE", "EMULATOR"]) == ("HOT-DEVICE", "EMULATOR")


# ---- waiting


class Cooling:
    """A clock that a phone cools by."""

    def __init__(self, phone: Phone, celsius: Sequence[int]) -> None:
        self._phone, self._celsius = phone, list(celsius)
        self.waited: list[float] = []
        self._next()

    def pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._next()

    def _next(self) -> None:
        if self._celsius:
            heat = f"temperature: {self._celsius.pop(0)}0"
            self._phone.says(BATTERY, texts.BATTERY_7.replace("temperature: 301", heat))


def door_of(device: Device, clock: Cooling, wait_s: float, *allow: GuardId) -> Admission:
    options = GuardOptions(allow=(*SHARED, *allow), wait_s=wait_s)
    return Admission(device, device.properties(), options, Silent(), clock.pause)


def test_a_hot_phone_is_waited_for(phone: Phone) -> None:
    clock = Cooling(phone, [45, 42, 38])
    with connect(phone.spec) as device:
        state = door_of(device, clock, 300).require_fit(watch_s=0)
    assert state.battery.celsius == 38
    assert len(clock.waited) == 2


def test_waiting_ends_and_the_phone_is_refused(phone: Phone) -> None:
    clock = Cooling(phone, [45])
    with (
        connect(phone.spec) as device,
        pytest.raises(NotFitError, match="HOT-DEVICE: its battery has 45"),
    ):
        door_of(device, clock, 12).require_fit(watch_s=0)
    assert 2 <= len(clock.waited) <= 3
    assert max(clock.waited) <= 5


def test_what_waiting_does_not_mend_is_not_waited_for(phone: Phone) -> None:
    clock = Cooling(phone, [45])
    phone.says(LOW_POWER, "1\n")
    with connect(phone.spec) as device, pytest.raises(NotFitError, match=r"HOT-DEV.*POWER-SAVE"):
        door_of(device, clock, 300).require_fit(watch_s=0)
    assert clock.waited == []


def test_between_rounds_heat_is_waited_for_and_nothing_refused(phone: Phone) -> None:
    clock = Cooling(phone, [44])
    phone.says(LOW_POWER, "1\n")
    with connect(phone.spec) as device:
        door = door_of(device, clock, 5)
        state = door.between_rounds()
        assert {one.id for one in findings(PHONE, state)} >= {"HOT-DEVICE", "POWER-SAVE"}
        door.between_rounds()
    assert len(clock.waited) == 1  # in all, not each time


def test_what_is_allowed_is_not_waited_for(phone: Phone) -> None:
    clock = Cooling(phone, [44])
    with connect(phone.spec) as device:
        door_of(device, clock, 300, "HOT-DEVICE").require_fit(watch_s=0)
    assert clock.waited == []


class Told(Silent):
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Any]:
        outer = self

        class Task:
            def advance(self, amount: float = 1, note: str = "") -> None:
                outer.notes.append(f"{title}: {note}")

        yield Task()


def test_a_person_is_told_what_is_waited_for(phone: Phone) -> None:
    clock, told = Cooling(phone, [45, 38]), Told()
    with connect(phone.spec) as device:
        options = GuardOptions(allow=SHARED)
        Admission(device, device.properties(), options, told, clock.pause).require_fit(watch_s=0)
    said = "HOT-DEVICE: its battery has 45.0 °C (40 is too warm)"
    assert told.notes[0] == f"waiting for {phone.spec}: {said}"
