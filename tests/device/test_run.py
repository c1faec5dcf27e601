"""`Device.run`: what every device does with a program."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import PurePosixPath

import pytest

from pipeline.core.errors import DeviceError, UsageError
from pipeline.device.base import Device, DeviceTimeoutError
from tests.no_hang import no_hang

FIVE_MEGABYTES = random.Random(5).randbytes(5_000_000)

#: Writes for ever, in large pieces: those of `yes` have two bytes, each a message of its own.
ENDLESS = "cat /dev/zero"

LITERALS = {
    "empty": "",
    "space": " a  b ",
    "single quote": "it's",
    "double quote": 'a "b" c',
    "line end": "one\ntwo\n",
    "carriage return": "a\r\nb\r",
    "tab": "a\tb",
    "variable": "$HOME ${PATH} $$",
    "command": "$(id) `id`",
    "separators": "a; b & c | d && e > f < g",
    "glob": "* ? [a-z] {a,b} ~",
    "backslash": "\\n \\\\ \\",
    "option": "--version",
    "dash": "-",
    "comment": "# no comment",
    "history": "!! !$",
    "control": "\x01\x1b[31m\x7f",
    "umlaut": "Größe",
    "emoji": "🦩",
    "right to left": "שלום",
    "not UTF-8": "\udcff\udc80",
    "long": "x" * 60_000,
}


def gone(device: Device, pid: int) -> bool:
    """Whether a process has ended, waiting a little: a kill takes a moment."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if device.run(["kill", "-0", str(pid)], deadline_s=10).returncode != 0:
            return True
        state = device.run(["grep", "^State:", f"/proc/{pid}/status"], deadline_s=10)
        if b"Z" in state.stdout:
            return True
    return False


def test_streams_and_status_are_kept_apart(device: Device) -> None:
    done = device.run(["sh", "-c", "echo out; echo err >&2; exit 7"], deadline_s=10)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


def test_the_result_names_the_command(device: Device) -> None:
    assert device.run(["echo", "a b"], deadline_s=10).argv == ("echo", "a b")


@pytest.mark.parametrize("argument", LITERALS.values(), ids=LITERALS.keys())
def test_arguments_arrive_literally(device: Device, argument: str) -> None:
    done = device.run(["printf", r"%s\0", "first", argument, "last"], deadline_s=10)
    expected = [b"first", argument.encode("utf-8", "surrogateescape"), b"last", b""]
    assert done.stdout.split(b"\0") == expected


def test_no_program_is_a_usage_error(device: Device) -> None:
    with pytest.raises(UsageError, match="no program"):
        device.run([], deadline_s=10)


def test_a_nul_in_an_argument_is_a_usage_error(device: Device) -> None:
    with pytest.raises(UsageError, match="NUL"):
        device.run(["echo", "a\0b"], deadline_s=10)


def test_a_missing_program_ends_with_127(device: Device) -> None:
    assert device.run(["no-such-program"], deadline_s=10).returncode == 127


def test_a_file_that_may_not_be_executed_ends_with_126(device: Device) -> None:
    assert device.run(["/proc/self/status"], deadline_s=10).returncode == 126


@pytest.mark.parametrize("builtin", ["eval", "exit", "cd", "exec", "no=program"])
def test_shell_builtins_are_not_programs(device: Device, builtin: str) -> None:
    assert device.run([builtin, "true"], deadline_s=10).returncode == 127


def test_a_path_may_hold_an_equals_sign(device: Device, folder: PurePosixPath) -> None:
    program = folder / "a=b"
    device.run(["cp", "/bin/sh", str(program)], deadline_s=10)
    assert device.run([str(program), "-c", "exit 5"], deadline_s=10).returncode == 5


@pytest.mark.parametrize("stdin", [b"", b"input"], ids=["no input", "input"])
@pytest.mark.parametrize("number", [1, 6, 9, 11, 15])
def test_death_by_a_signal_is_128_and_its_number(device: Device, number: int, stdin: bytes) -> None:
    done = device.run(["sh", "-c", f"kill -{number} $$"], deadline_s=10, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, b"", b"")


def test_programs_run_in_the_root_folder(device: Device) -> None:
    assert device.run(["pwd"], deadline_s=10).stdout == b"/\n"


def test_programs_lead_a_process_group_of_their_own(device: Device) -> None:
    done = device.run(["sh", "-c", "cut -d ' ' -f 5 /proc/$$/stat; echo $$"], deadline_s=10)
    group, pid = done.stdout.split()
    assert group == pid


def test_standard_input_arrives_whole(device: Device) -> None:
    done = device.run(["sha256sum"], deadline_s=30, stdin=FIVE_MEGABYTES)
    assert done.stdout.split()[0].decode() == hashlib.sha256(FIVE_MEGABYTES).hexdigest()


def test_input_and_output_flow_at_the_same_time(device: Device) -> None:
    assert device.run(["cat"], deadline_s=30, stdin=FIVE_MEGABYTES).stdout == FIVE_MEGABYTES


def test_without_input_standard_input_is_at_its_end(device: Device) -> None:
    done = device.run(["cat"], deadline_s=10)
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("size", [1, 1_000_000, 5_000_000])
def test_a_program_need_not_read_its_input(device: Device, size: int) -> None:
    done = device.run(["sh", "-c", "echo done; exit 3"], deadline_s=10, stdin=bytes(size))
    assert (done.returncode, done.stdout) == (3, b"done\n")


def test_output_is_binary_clean(device: Device) -> None:
    every_byte = bytes(range(256)) + b"\r\n\n\r\0"
    assert device.run(["cat"], deadline_s=10, stdin=every_byte).stdout == every_byte


def test_twenty_megabytes_of_output(device: Device) -> None:
    script = "yes 0123456789abcde | head -c 20000000; yes E | head -c 1000000 >&2"
    done = device.run(["sh", "-c", script], deadline_s=60)
    assert done.stdout == b"0123456789abcde\n" * 1_250_000
    assert done.stderr == b"E\n" * 500_000


def test_a_hundred_megabytes_of_output(device: Device) -> None:
    command = ["head", "-c", "100000000", "/dev/zero"]
    done = device.run(command, deadline_s=60, output_limit=100_000_000)
    assert done.returncode == 0
    assert len(done.stdout) == done.stdout.count(0) == 100_000_000


def test_a_hundred_megabytes_are_more_than_usual(device: Device) -> None:
    with pytest.raises(DeviceError, match="wrote more than 67108864 bytes") as caught:
        device.run(["head", "-c", "100000000", "/dev/zero"], deadline_s=60)
    assert "a file on the device" in caught.value.remedy
    assert device.run(["echo", "usable"], deadline_s=10).stdout == b"usable\n"


def test_output_up_to_the_limit_is_accepted(device: Device) -> None:
    done = device.run(["head", "-c", "5000", "/dev/zero"], deadline_s=10, output_limit=5000)
    assert len(done.stdout) == 5000


def test_output_over_the_limit_kills_the_program(device: Device) -> None:
    script = f"echo $$ >&2; {ENDLESS}"
    with no_hang(20), pytest.raises(DeviceError, match="more than 100000 bytes") as caught:
        device.run(["sh", "-c", script], deadline_s=60, output_limit=100_000)
    assert not isinstance(caught.value, DeviceTimeoutError)


def test_the_limit_counts_both_streams(device: Device) -> None:
    script = "head -c 600 /dev/zero; head -c 600 /dev/zero >&2"
    with pytest.raises(DeviceError, match="more than 1000 bytes"):
        device.run(["sh", "-c", script], deadline_s=10, output_limit=1000)


@pytest.mark.parametrize(
    ("ending", "output_limit"), [("sleep 60", 1000), (f"{ENDLESS}; sleep 60", 100_000)]
)
def test_the_whole_process_group_is_killed(
    device: Device, second: Device, folder: PurePosixPath, ending: str, output_limit: int
) -> None:
    pids = folder / "pids"
    script = f"sleep 61 & echo $! >{pids}; trap '' HUP TERM; echo $$ >>{pids}; {ending}"
    for deadline_s in (1, 10, 30):  # until it gets that far in the time that it has
        with no_hang(60), pytest.raises(DeviceError):
            device.run(["sh", "-c", script], deadline_s=deadline_s, output_limit=output_limit)
        written = device.run(["cat", str(pids)], deadline_s=10).stdout.split()
        if len(written) == 2:
            break
    child, leader = written
    assert gone(second, int(child))
    assert gone(second, int(leader))


def test_the_deadline_names_the_program_and_the_time(device: Device) -> None:
    with no_hang(20), pytest.raises(DeviceTimeoutError, match=r"sleep .* within 0\.5 s"):
        device.run(["sleep", "60"], deadline_s=0.5)


@pytest.mark.parametrize(
    ("argv", "deadline_s", "said"),
    [(["sleep", "60"], 0.3, "did not end on"), (["yes"], 30, "wrote more than 100 bytes")],
    ids=["late", "too much"],
)
def test_errors_call_a_command_by_its_label(
    device: Device, argv: list[str], deadline_s: float, said: str
) -> None:
    with no_hang(60), pytest.raises(DeviceError, match=f"^harness task info {said}"):
        device.run(argv, deadline_s=deadline_s, output_limit=100, label="harness task info")


def test_the_deadline_holds_for_a_program_that_never_stops_writing(device: Device) -> None:
    with no_hang(20), pytest.raises(DeviceTimeoutError):
        device.run(["yes"], deadline_s=0.5, output_limit=1 << 40)


def test_the_deadline_holds_for_a_program_that_never_reads(device: Device) -> None:
    with no_hang(20), pytest.raises(DeviceTimeoutError):
        device.run(["sleep", "60"], deadline_s=0.5, stdin=FIVE_MEGABYTES)


def test_a_child_that_keeps_the_output_open_belongs_to_the_run(device: Device) -> None:
    with no_hang(20), pytest.raises(DeviceTimeoutError):
        device.run(["sh", "-c", "sleep 60 & exit 0"], deadline_s=0.5)


def test_a_child_with_its_own_output_outlives_the_run(device: Device, second: Device) -> None:
    script = "sleep 60 >/dev/null 2>&1 </dev/null & echo $!"
    with no_hang(20):
        child = device.run(["sh", "-c", script], deadline_s=30).stdout.strip().decode()
    assert second.run(["kill", "-9", child], deadline_s=10).returncode == 0


def test_the_device_is_usable_after_a_deadline(device: Device) -> None:
    with pytest.raises(DeviceTimeoutError):
        device.run(["sh", "-c", "yes & sleep 60"], deadline_s=0.3, output_limit=1 << 40)
    assert device.run(["echo", "still here"], deadline_s=10).stdout == b"still here\n"


def test_the_device_is_usable_after_too_much_output(device: Device) -> None:
    with pytest.raises(DeviceError):
        device.run(["yes"], deadline_s=10, output_limit=10)
    assert device.run(["echo", "still here"], deadline_s=10).stdout == b"still here\n"


def test_a_command_line_that_is_too_long_is_refused(device: Device) -> None:
    with pytest.raises(DeviceError, match="command line of echo"):
        device.run(["echo", *["x" * 1000] * 8000], deadline_s=10)


def test_seconds_are_those_that_passed(device: Device) -> None:
    started = time.monotonic()
    done = device.run(["sleep", "0.2"], deadline_s=10)
    assert 0.2 <= done.seconds <= time.monotonic() - started
