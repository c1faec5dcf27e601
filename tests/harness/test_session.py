from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

import pytest

from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.device.base import (
    Completed,
    DeviceGoneError,
    DeviceTimeoutError,
    OutputLimitError,
)
from pipeline.harness.placement import Deployment
from pipeline.harness.session import HarnessSession, NotColdError

#: Gives stdout, stderr and exit status for the nonce that the harness was given.
Script = Callable[[str], tuple[str, str, int]]


#: The sha256 of the plans that were deployed.
PLAN = "ab" * 32
LOADING_PLAN = "ef" * 32


class ScriptedDevice:
    """A device whose harness says what a test wants it to."""

    spec = "scripted"

    def __init__(self, script: Script) -> None:
        self._script = script
        self.argv: list[str] = []
        self.label = ""

    def run(
        self, argv: Sequence[str], *, deadline_s: float, label: str = "", **_: Any
    ) -> Completed:
        self.argv, self.label = list(argv), label
        nonce = argv[list(argv).index("--nonce") + 1]
        stdout, stderr, status = self._script(nonce)
        return Completed(tuple(argv), status, stdout.encode(), stderr.encode(), 0.1)


def deployment(*command: str) -> Deployment:
    caching = ("--weight-cache", "/x/caches", "--runtime", "ab12")
    return Deployment(
        command=command,
        plan=PurePosixPath("/x/plan"),
        plans=(PLAN, LOADING_PLAN),
        arms=("student", "teacher"),
        engine="executorch 1.5.1",
        caching=caching,
        stages=2,
        golden_images=1,
        evaluation_images=4,
    )


def session(script: Script) -> HarnessSession:
    device: Any = ScriptedDevice(script)
    return HarnessSession(device, deployment("/x/harness"))


def line(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, **fields}) + "\n"


def end(nonce: str, ok: int = 1, plan: str = PLAN, loading_plan: str = LOADING_PLAN) -> str:
    return line("end", ok=ok, nonce=nonce, plan=plan, loading_plan=loading_plan)


def error(code: str, message: str) -> Script:
    return lambda nonce: (line("error", code=code, message=message) + end(nonce, 0), "", 1)


INFO = {
    "harness": "0.1.0",
    "engine": "executorch 1.5.1",
    "abi": "x86_64",
    "compiler": "12",
    "page_bytes": 4096,
    "cores_online": 2,
    "cores": [0, 1],
}


def test_lines_become_typed_samples() -> None:
    info = session(lambda nonce: (line("info", **INFO) + end(nonce), "", 0)).info()
    assert info.engine == "executorch 1.5.1"


@pytest.mark.parametrize("code", ["damaged", "missing", "incompatible", "invalid-plan"])
def test_a_refused_file_is_an_integrity_error_with_the_harness_s_words(code: str) -> None:
    with pytest.raises(IntegrityError, match="teacher-2: sha256 is"):
        session(error(code, "teacher-2: sha256 is 12, should be 34")).parity()


def installed(without: int) -> Script:
    counts = {"hashed": 2, "built": 1, "there": 1}
    lines = line("installed", **counts, without=0) + line("installed", **counts, without=without)
    return lambda nonce: (lines + end(nonce), "", 0)


def test_programs_that_are_left_without_a_weight_cache_are_told() -> None:
    session(installed(without=0)).install()
    with pytest.raises(DeviceError, match="1 of 5 programs have no weight cache on scripted"):
        session(installed(without=1)).install()


def test_a_start_that_cannot_be_cold_is_told_apart() -> None:
    with pytest.raises(NotColdError, match="tmpfs"):
        session(error("not-cold", "is the folder on a tmpfs?")).ttfi("pwl", "cold", 0)


def test_any_other_failure_is_the_device_s() -> None:
    with pytest.raises(DeviceError, match="no thread pool"):
        session(error("runtime", "ExecuTorch has no thread pool on this device")).accuracy()


def test_a_crash_is_named_by_its_signal_with_the_last_words() -> None:
    def crash(nonce: str) -> tuple[str, str, int]:
        return line("logits"), "E: going down\n", 139

    with pytest.raises(DeviceError, match=r"SIGSEGV.*going down") as caught:
        session(crash).parity()
    assert "crashed" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "remedy"), [(126, "noexec"), (127, "missing"), (137, "memory"), (132, "processor")]
)
def test_the_remedy_is_that_of_the_harness_s_ending(status: int, remedy: str) -> None:
    with pytest.raises(DeviceError) as caught:
        session(lambda nonce: ("", "", status)).parity()
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("which", ["plan", "loading_plan"])
def test_a_harness_that_has_read_another_plan_gives_no_samples(which: str) -> None:
    with pytest.raises(IntegrityError, match=r"info .* measured something else .* /x/plan"):
        session(
            lambda nonce: (line("info", **INFO) + end(nonce, **{which: "cd" * 32}), "", 0)
        ).info()


def test_a_harness_that_does_not_say_what_it_has_read_is_refused() -> None:
    def older(nonce: str) -> tuple[str, str, int]:
        return line("info", **INFO) + line("end", ok=1, nonce=nonce), "", 0

    with pytest.raises(DeviceError, match="another version"):
        session(older).info()


@pytest.mark.parametrize(
    "stdout",
    [
        lambda nonce: line("info", **INFO),
        lambda nonce: line("info", **INFO) + end("another nonce"),
        lambda nonce: end(nonce) + line("info", **INFO),
        lambda nonce: "",
    ],
)
def test_output_that_is_not_whole_is_refused(stdout: Callable[[str], str]) -> None:
    with pytest.raises(DeviceError, match="cut short"):
        session(lambda nonce: (stdout(nonce), "", 0)).info()


def not_finite(nonce: str, *, whole: bool = True) -> tuple[str, str, int]:
    answer = line("logits", name="stage-0", input=0, logits=[None, 1.0])
    fault = line("error", code="not-finite", message="stage-0: logits of 1 of 1 golden inputs")
    return answer + fault + (end(nonce, 0) if whole else ""), "", 1


def test_logits_that_are_no_numbers_are_handed_on_for_the_report() -> None:
    (answer,) = session(not_finite).parity()
    assert answer.logits == (None, 1.0)


def test_logits_that_are_no_numbers_end_any_other_use_of_the_harness() -> None:
    with pytest.raises(IntegrityError, match="not-finite"):
        session(not_finite).run("parity")


def test_that_logits_are_no_numbers_excuses_nothing_else() -> None:
    with pytest.raises(DeviceError, match="cut short"):
        session(lambda nonce: not_finite(nonce, whole=False)).parity()
    with pytest.raises(DeviceError, match="no thread pool"):
        session(error("runtime", "ExecuTorch has no thread pool on this device")).parity()


@pytest.mark.parametrize("text", ["hello\n", "[1]\n", '{"no": "event"}\n', '{"event": 3}\n'])
def test_output_of_another_program_is_refused(text: str) -> None:
    with pytest.raises(DeviceError, match="no result"):
        session(lambda nonce: (text + end(nonce), "", 0)).info()


def test_a_harness_of_another_version_is_refused() -> None:
    newer = {**INFO, "color": "blue"}
    with pytest.raises(DeviceError, match="another version"):
        session(lambda nonce: (line("info", **newer) + end(nonce), "", 0)).info()


def test_a_missing_line_is_named() -> None:
    with pytest.raises(DeviceError, match="no 'info' line"):
        session(lambda nonce: (end(nonce), "", 0)).info()


#: What a device says of a harness that did not come to its end, and what is said of that in turn.
NO_END: dict[str, tuple[DeviceError, str]] = {
    "late": (
        DeviceTimeoutError("harness task info did not end on scripted within 9 s", "x"),
        "harness task info did not end on scripted within 9 s",
    ),
    "gone": (
        DeviceGoneError("the connection to 1.2.3.4:5555 is lost: it was restarted", "reconnect"),
        "harness task info on scripted: the connection to 1.2.3.4:5555 is lost: it was restarted",
    ),
    "too much": (
        OutputLimitError("harness task info wrote more than 9 bytes", "let it write to a file"),
        "harness task info wrote more than 9 bytes on scripted",
    ),
}


@pytest.mark.parametrize(("said", "what"), NO_END.values(), ids=NO_END.keys())
def test_a_harness_without_an_end_is_called_by_its_task_and_device(
    said: DeviceError, what: str
) -> None:
    def fail(nonce: str) -> tuple[str, str, int]:
        raise said

    device: Any = ScriptedDevice(fail)
    with pytest.raises(DeviceError) as caught:
        HarnessSession(device, deployment("/x/ld-linux-aarch64.so.1", "/x/harness")).info()
    assert caught.value.what == what
    assert "ld-linux" not in str(caught.value)
    assert caught.value.remedy not in ("x", "let it write to a file")
    assert device.label == "harness task info"


def test_a_task_is_asked_for_with_the_plan_and_its_options() -> None:
    device = ScriptedDevice(
        lambda nonce: (
            line("latency", name="x", steady_ns=[1], steady_cpu_ns=[1]) + end(nonce),
            "",
            0,
        )
    )
    typed: Any = device
    HarnessSession(typed, deployment("/x/ld.so", "/x/harness")).latency(7)
    assert device.argv[:4] == ["/x/ld.so", "/x/harness", "--task", "latency"]
    assert device.argv[-4:] == ["--plan", "/x/plan", "--inferences", "7"]


def test_only_a_cached_start_is_told_of_weight_caches() -> None:
    device = ScriptedDevice(lambda nonce: (end(nonce), "", 0))
    typed: Any = device
    for state, cached in (("cold", False), ("warm", False), ("cold-cached", True)):
        with pytest.raises(DeviceError, match="no 'ttfi' line"):
            HarnessSession(typed, deployment("/x/harness")).ttfi("pwl", state, 0)
        assert ("--weight-cache" in device.argv) == cached
