"""What is read from a device's own words about its state."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.device.base import Completed, Device
from pipeline.device.local import LocalDevice
from pipeline.device.state import Battery, DeviceState, Thermal, dumpsys, kernel, read_state
from pipeline.device.state.read import parsed_state, sections_of
from tests.device import dumpsys_texts as texts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (texts.BATTERY_7, Battery(level_percent=57, celsius=30.1, charging=True)),
        (texts.BATTERY_14, Battery(level_percent=81, celsius=41.2, charging=False)),
        (texts.BATTERY_STOPPED, Battery(level_percent=90, celsius=-1.5, charging=False)),
        (texts.BATTERY_ABSENT, Battery()),
        ("Current Battery Service state:\n  level: 101\n  status: 9\n", Battery()),
        ("Current Battery Service state:\n  level: 1e999\n  temperature: warm\n", Battery()),
        ("Can't find service: battery\n", None),
        ("", None),
    ],
    ids=["7", "14", "stopped", "absent", "impossible", "no numbers", "no service", "nothing"],
)
def test_the_battery_is_that_of_this_moment(text: str, found: Battery | None) -> None:
    assert dumpsys.battery(text) == found


def test_what_a_log_behind_it_says_is_of_another_time() -> None:
    text = texts.BATTERY_14.replace("  temperature: 412\n", "")
    assert dumpsys.battery(text) == Battery(level_percent=81, charging=False)


@pytest.mark.parametrize(
    ("text", "headroom", "found"),
    [
        (texts.THERMAL_10, "", Thermal(status=0, skin_celsius=30.5, hottest_celsius=33.0)),
        (
            texts.THERMAL_12,
            "Unknown command: headroom\n",
            Thermal(status=2, headroom=0.8, skin_celsius=46.0, hottest_celsius=47.8),
        ),
        (
            texts.THERMAL_15,
            "",
            Thermal(status=0, headroom=0.5, skin_celsius=27.0, hottest_celsius=34.6),
        ),
        (
            texts.THERMAL_15,
            texts.HEADROOM_15,
            Thermal(status=0, headroom=0.61, skin_celsius=27.0, hottest_celsius=34.6),
        ),
        (texts.THERMAL_NO_HAL, "Error: thermal HAL is not ready\n", Thermal(status=0)),
        ("Thermal Status: 7\n", "Headroom in 0 seconds: NaN\n", Thermal()),
        ("Can't find service: thermalservice\n", "", Thermal()),
    ],
    ids=["10", "12", "15", "15 by command", "no HAL", "impossible", "no service"],
)
def test_heat_is_read_from_every_release(text: str, headroom: str, found: Thermal) -> None:
    assert dumpsys.thermal(text, headroom, []) == found


def test_the_kernel_s_sensors_count_where_the_service_has_none() -> None:
    zones = kernel.zones_celsius("celsius 41500\ncelsius -274000\ncelsius 999999\ncelsius cold\n")
    assert zones == [41.5]
    assert dumpsys.thermal("", "", zones).hottest_celsius == 41.5


@pytest.mark.parametrize(
    ("power", "setting", "on", "saving"),
    [
        (texts.POWER_7, "null\n", True, False),
        (texts.POWER_9, "1\n", False, True),
        (texts.POWER_9, "", False, True),
        (texts.POWER_14, "0\n", False, False),
        (texts.POWER_14, "", False, False),
        ("  mWakefulness=Dreaming\n", "", True, None),
        ("  mWakefulnessRaw=Awake\n", "Can't find service: settings", True, None),
        ("  mWakefulness=Hibernating\n", "maybe", None, None),
        ("", "", None, None),
    ],
)
def test_screen_and_power_saving_are_known_or_not(
    power: str, setting: str, on: bool | None, saving: bool | None
) -> None:
    assert dumpsys.screen_on(power) is on
    assert dumpsys.power_save(setting, power) is saving


def test_the_busy_share_is_that_between_two_readings() -> None:
    load = kernel.watched("cpu cpu  10 0 10 80 0 0 0\ncpu cpu  40 0 20 138 2 0 0\n")
    assert load.busy_share == 0.4


@pytest.mark.parametrize(
    "text",
    ["", "cpu cpu 1 2 3\ncpu cpu 1 2 3\n", "cpu cpu 1 2 3 4 5\n", "cpu cpu\ncpu cpu 1 2 3 4 5\n"],
)
def test_what_is_no_pair_of_readings_gives_no_busy_share(text: str) -> None:
    assert kernel.watched(text).busy_share is None


def test_other_processes_are_named_by_what_they_used() -> None:
    load = kernel.watched(
        "uptime 100.00 1\n"
        "uptime 100.50 1\n"
        "process 100 10 130 20 surface) 1 (x\n"  # 40 ticks of 10 ms in half a second
        "process 0 0 1 1 small\n"
        "process 5 5 5 105 big\x1b[2J\n"
        "process 1 1 a[$(id)] 3 evil\n"
    )
    assert [(one.name, one.cores) for one in load.others] == [
        ("big?[2J", 2.0),
        ("surface) 1 (x", 0.8),
    ]


def test_cores_say_what_they_have() -> None:
    text = (
        "0 core\n0 capacity 250\n0 governor walt\n0 khz 300000\n"
        "0 limit 1800000\n0 highest 1800000\n"
        "10 core\n10 online 0\n"
        "7 core\n7 online 1\n7 capacity 1024\n7 limit soon\n"
        "nonsense\n-1 core\n99999999 core\n"
    )
    first, seventh, tenth = kernel.cores(text)
    assert (first.index, first.capacity, first.governor, first.khz) == (0, 250, "walt", 300000)
    assert (first.limit_khz, first.highest_khz, first.online) == (1800000, 1800000, None)
    assert (seventh.online, seventh.capacity, seventh.limit_khz) == (True, 1024, None)
    assert (tenth.index, tenth.online, tenth.capacity) == (10, False, None)


def test_the_battery_of_a_laptop_is_not_that_of_its_mouse() -> None:
    mouse = "hid type Battery\nhid scope Device\nhid capacity 5\n"
    own = "AC type Mains\nBAT0 type Battery\nBAT0 capacity 90\nBAT0 status Not charging\n"
    found = Battery(level_percent=90, charging=False)
    assert kernel.battery_of_supplies(mouse + own) == found
    assert kernel.battery_of_supplies(mouse) == Battery()


@pytest.mark.parametrize("text", ["4096 10", "0 1 2", "4096 3 2", "4096 -1 2", "a b c", ""])
def test_what_is_no_size_of_a_file_system_is_unknown(text: str) -> None:
    assert kernel.space_kb(text) is None


def test_free_space_counts_in_kilobytes() -> None:
    assert kernel.space_kb("4096 25 100\n") == (100, 400)


def test_text_that_looks_like_a_section_is_part_of_its_own() -> None:
    mark = "pwl-0123"
    battery = f"{texts.BATTERY_7}pwl-9999 saver\n1\n"
    sections = sections_of(f"\n{mark} battery\n{battery}\n{mark} saver\nnull\n", mark)
    state = parsed_state(sections)
    assert state.battery.level_percent == 57
    assert state.power_save is False


def test_noise_is_no_state() -> None:
    """Whatever the device prints: an answer, and one that a report can hold."""
    noise = random.Random(1)
    words = [
        "Current Battery Service state:",
        "  level: ",
        "Temperature{mValue=",
        "\x00",
        "\n",
        "9e9",
    ]
    words += ["cpu ", "uptime ", "process ", "0 core", "1 capacity ", "\t", "NaN", "-", "²", "٣"]
    words += ["9" * 5000, " 1" * 6, f"\n{'9' * 5000} online 1\n"]
    names = ["load", "memory", "space", "cores", "zones", "supplies", "battery", "thermal"]
    for _ in range(300):
        text = {
            name: "".join(noise.choices(words, k=20))
            for name in (*names, "headroom", "power", "saver")
        }
        state = parsed_state(text)
        assert DeviceState.model_validate_json(state.model_dump_json()) == state


def test_every_device_says_something_true(device: Device) -> None:
    state = read_state(device)
    assert state.memory_available_kb is not None
    assert 0 < state.memory_available_kb * 1024 < (device.properties().memory_bytes or 0)
    assert state.busy_share is not None
    assert 0 <= state.busy_share <= 1
    assert state.space_free_kb is not None
    assert len(state.cores) >= device.properties().cores
    assert state.screen_on is None


def test_without_watching_the_processors_nothing_is_said_of_load(device: Device) -> None:
    state = read_state(device, watch_s=0)
    assert state.busy_share is None
    assert state.others == ()


class Bare:
    """A machine that has a shell and nothing else."""

    spec = "adb:bare"
    workdir = "/"

    def run(self, argv: list[str], **_: Any) -> Completed:
        return Completed(tuple(argv), 0, f"\n{argv[4]} memory\n\n".encode(), b"", 0.1)


def test_a_device_that_says_nothing_has_a_state_of_nothing() -> None:
    bare: Any = Bare()
    assert read_state(bare) == DeviceState()


def test_the_name_of_a_process_is_run_by_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the program's to choose, at most 15 characters."""
    monkeypatch.setattr(kernel, "LEAST_CORES", 0.001)
    monkeypatch.setattr(kernel, "MOST_OTHERS", 10_000)
    made = Path("/tmp/pwlx")
    made.unlink(missing_ok=True)
    name = f"$(>{made})"
    busy = 'printf %s "$1" >/proc/$$/comm; echo; while :; do :; done'
    with (
        LocalDevice(tmp_path) as device,
        subprocess.Popen(["sh", "-c", busy, "sh", name], stdout=subprocess.PIPE) as program,
    ):
        assert program.stdout is not None
        program.stdout.readline()
        state = read_state(device)
        program.kill()
    assert name in [one.name for one in state.others]
    assert not made.exists()
