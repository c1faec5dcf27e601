"""Fixtures that several rooms use."""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.device.phone import Phone

pytest_plugins = ["tests.fixtures"]

#: Fixtures that start a device of their own, and what parametrized tests call it.
_DEVICE = {"start_loopback", "loopback_device", "arm64_device"}
_DEVICE_NAMES = {"adb", "adb server", "newer adb server", "adb over TLS"}
#: Fixtures that train, lower or compile.
_BUILD = {
    *("tiny_model", "tiny_cache", "built_bundle", "litert_bundle", "either_bundle", "bundle_copy"),
    *("harness_package", "arm64_package", "program"),
}
#: Folders and files below this one whose tests do it themselves, for seconds each.
_BUILDERS = (
    *("lowering/", "tensorflow/", "timm/"),
    *("ingest/test_hostile_reference.py", "ingest/test_python.py", "ingest/test_reference.py"),
    *("ingest/test_reference_commands.py", "ingest/test_zoo.py", "ingest/test_preprocessor.py"),
    *("schedule/test_choose.py", "test_end_to_end.py"),
    *(
        "workflows/test_build_bundle.py",
        "workflows/test_run_devices.py",
        "test_other_models_end_to_end.py",
        "test_tasks_page.py",
        "test_train_and_evaluate.py",
    ),
    *("training/test_augment.py", "training/test_early.py", "training/test_families.py"),
    *(
        "training/test_cuda.py",
        "training/test_fit.py",
        "training/test_training_log.py",
        "training/test_pointwise.py",
    ),
    *("bundle/test_warnings.py", "ingest/test_content.py", "test_two_runs.py"),
    *("test_arms.py", "test_new_backend.py", "test_own_model_page.py", "test_producers.py"),
    *("test_quantized.py", "test_stopped.py", "toolchain/test_installed_library.py"),
    *("android/test_images.py", "android/test_kotlin.py", "android/test_style.py"),
    *("training/test_precision.py", "training/test_processes.py", "training/test_recipes.py"),
)

#: Compiled, not built: while one process begins with it, another makes the bundles that both need,
#: so what needs these comes last in it.
_FIRST = "harness/test_native.py"

LOOPBACK_DEVICE = Path(__file__).parents[1] / "scripts" / "loopback-device"


def pytest_configure(config: pytest.Config) -> None:
    """Gives every process of pytest-xdist a processor of its own.

    What it starts stays there, too: no more threads and worker processes than there is room for.
    `every_processor` lifts it.
    """
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        processors = sorted(os.sched_getaffinity(0))
        number = int(worker["workerid"].removeprefix("gw"))
        os.sched_setaffinity(0, {processors[number % len(processors)]})
        # PyTorch counted processors when it was imported; two threads on one wait by spinning.
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)


def _on_every_processor() -> None:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


@pytest.fixture(scope="module")
def every_processor() -> Iterator[None]:
    """For what starts several processes of its own, which wait for each other."""
    before = os.sched_getaffinity(0)
    _on_every_processor()
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="session", autouse=True)
def signals_as_at_a_terminal() -> None:
    """A shell that starts the tests in the background, or nohup, has them ignore these signals.

    So would every program that they start; a handler of one's own is not inherited.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_adb_server_of_the_user() -> Iterator[None]:
    """Whoever runs the tests may have phones: none of them is a device of a test."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL"):
            environment.delenv(name, raising=False)
        environment.setenv("ANDROID_ADB_SERVER_PORT", "1")
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the loopback device or takes long; `CONTRIBUTING.md` names the marks.

    Files with such tests come first, so that of several processes none waits for one at the end.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)
        parameters = callspec.params.values() if callspec else ()
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        named = _DEVICE_NAMES & {value for value in parameters if isinstance(value, str)}
        if fixtures & _DEVICE or named or place == "device/test_loopback_device.py":
            item.add_marker("device")
        if "adb over TLS" in named or place == "device/adb/test_tls.py":
            # Debian's adbd uses a transport after it has freed it, once in some hundred connections
            # under TLS: it crashes, or ends another connection than the one that was left.
            item.add_marker(pytest.mark.flaky(reruns=4))
        if fixtures & _BUILD or place.startswith(_BUILDERS):
            item.add_marker("build")
    slow = {item.path for item in items if item.get_closest_marker("build")}
    first = Path(__file__).parent / _FIRST
    items.sort(
        key=lambda item: (
            item.path != first,
            item.path not in slow,
            item.path == first and "either_bundle" in getattr(item, "fixturenames", ()),
        )
    )


def pytest_collection_finish() -> None:
    """What is imported by now stays: nobody has to look for garbage in it again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def start_loopback() -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts a loopback device with the given options; returns what `start --json` says of it."""
    if sys.platform != "linux":
        pytest.skip("the loopback device needs Linux")
    ports: list[int] = []

    def start(*options: str) -> dict[str, Any]:
        command = [LOOPBACK_DEVICE, "start", "--port", "0", "--json", *options]
        # A device has processors of its own: it answers while a test is busy.
        done = subprocess.run(
            command, capture_output=True, text=True, preexec_fn=_on_every_processor
        )
        if done.returncode != 0:
            pytest.fail(done.stderr, pytrace=False)
        record: dict[str, Any] = json.loads(done.stdout)
        ports.append(record["port"])
        return record

    yield start
    for port in ports:
        command = [LOOPBACK_DEVICE, "stop", "--port", str(port)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def loopback_device(start_loopback: Callable[..., dict[str, Any]]) -> str:
    """The spec, ``adb:127.0.0.1:PORT``, of a real adbd that the whole session shares."""
    spec: str = start_loopback()["spec"]
    return spec


@pytest.fixture(scope="session")
def arm64_device(start_loopback: Callable[..., dict[str, Any]]) -> str:
    """The spec of a loopback device that runs the programs of a phone, under QEMU."""
    if platform.machine() != "x86_64":
        pytest.skip("not here: another processor is emulated on x86-64")
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("not here: QEMU's user mode (apt-get install qemu-user-static)")
    release = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
    if release < (6, 7):
        pytest.skip("not here: binfmt_misc in user namespaces, which Linux 6.7 brought")
    spec: str = start_loopback("--abi", "arm64-v8a")["spec"]
    return spec


@pytest.fixture(scope="session")
def _shared_phone(start_loopback: Callable[..., dict[str, Any]]) -> Phone:
    return Phone(start_loopback)


@pytest.fixture
def phone(_shared_phone: Phone) -> Phone:
    """A phone that can be measured, until a test says otherwise."""
    _shared_phone.reset()
    return _shared_phone


@pytest.fixture(scope="session")
def small_phone(start_loopback: Callable[..., dict[str, Any]]) -> Phone:
    """A phone of 64 MB whose storage is memory. Leave it as it is."""
    return Phone(start_loopback, "--disk", str(64 << 20))
