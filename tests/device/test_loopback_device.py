"""`scripts/loopback-device`: what it starts, and what it never does."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.device.base import Device
from pipeline.device.connect import connect
from tests.no_hang import no_hang

SCRIPT = Path(__file__).parents[2] / "scripts" / "loopback-device"

StartLoopback = Callable[..., dict[str, Any]]


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.fixture
def record(start_loopback: StartLoopback) -> dict[str, Any]:
    """A device of the test's own."""
    return start_loopback()


@pytest.fixture
def device(loopback_device: str) -> Iterator[Device]:
    with connect(loopback_device) as device:
        yield device


def said(device: Device, *argv: str) -> str:
    return device.run(argv, deadline_s=10).stdout.decode().strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 5).close()
    except OSError:
        return False
    return True


# ---- the command


def test_the_last_line_of_start_is_the_spec() -> None:
    port = free_port()
    done = script("start", "--port", str(port))
    try:
        assert done.stdout.splitlines()[-1] == f"adb:127.0.0.1:{port}"
    finally:
        script("stop", "--port", str(port))


def test_starting_twice_is_starting_once(record: dict[str, Any]) -> None:
    again = script("start", "--port", str(record["port"]), "--json")
    assert json.loads(again.stdout) == record


def test_starting_with_other_options_is_refused(record: dict[str, Any]) -> None:
    done = script("start", "--port", str(record["port"]), "--disk", "1000000")
    assert done.returncode == 3
    assert "runs already, with other options" in done.stderr
    assert f"stop --port {record['port']}" in done.stderr


def test_status_lists_what_runs(record: dict[str, Any]) -> None:
    assert record in json.loads(script("status", "--json").stdout)
    assert f"{record['spec']}  adbd is process {record['adbd_pid']}" in script("status").stdout


def test_stop_ends_one_device_and_leaves_the_others(
    record: dict[str, Any], loopback_device: str
) -> None:
    done = script("stop", "--port", str(record["port"]))
    assert done.stdout == f"stopped {record['spec']}\n"
    assert not listens("127.0.0.1", record["port"])
    assert not Path(record["folder"]).exists()
    assert listens("127.0.0.1", int(loopback_device.rpartition(":")[2]))


def test_a_restart_ends_all_that_runs_and_keeps_the_files(record: dict[str, Any]) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id")
    with connect(record["spec"]) as device:
        assert said(device, "cat", str(boot)) == boot.read_text().strip()
        script_text = "sleep 300 >/dev/null 2>&1 & echo $! >/data/local/tmp/pid"
        device.run(["sh", "-c", script_text], deadline_s=10)
    again = json.loads(script("restart", "--port", str(record["port"]), "--json").stdout)
    assert {**again, "adbd_pid": 0, "init_pid": 0, "monitor_pid": 0} == {
        **record,
        **dict.fromkeys(("adbd_pid", "init_pid", "monitor_pid"), 0),
    }
    with connect(record["spec"]) as device:
        assert said(device, "cat", str(boot)) not in ("", boot.read_text().strip())
        assert said(device, "cat", "/data/local/tmp/pid").isdigit()
        assert "sleep" not in said(device, "ps", "-A", "-o", "ARGS")


def test_a_device_that_was_never_started_is_not_restarted() -> None:
    done = script("restart", "--port", str(free_port()))
    assert done.returncode == 3
    assert "no device was started on port" in done.stderr


def test_stop_leaves_no_process_behind(record: dict[str, Any]) -> None:
    script("stop", "--port", str(record["port"]))
    for name in ("adbd_pid", "init_pid", "monitor_pid"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # nobody waited for it yet
            assert "State:\tZ" in Path("/proc", str(record[name]), "status").read_text()


def test_stop_touches_nothing_that_a_program_on_the_device_linked_to(
    record: dict[str, Any], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    mine.chmod(0o755)
    (mine / "file").touch()
    with connect(record["spec"]) as device:
        link = device.run(["ln", "-s", str(mine), "/data/local/tmp/link"], deadline_s=10)
        assert link.returncode == 0
    script("stop", "--port", str(record["port"]))
    assert not Path(record["folder"]).exists()
    assert stat.S_IMODE(mine.stat().st_mode) == 0o755
    assert (mine / "file").exists()


def test_stopping_what_does_not_run_is_no_error() -> None:
    done = script("stop", "--port", str(free_port()))
    assert (done.returncode, done.stdout) == (0, "")


def test_a_port_can_be_used_again_at_once(record: dict[str, Any]) -> None:
    with connect(record["spec"]):
        port = str(record["port"])
        script("stop", "--port", port)
        assert script("start", "--port", port).stdout == f"{record['spec']}\n"


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = script("start", "--port", str(port))
    assert done.returncode == 3
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in done.stderr
    assert "--port 0" in done.stderr


def test_a_device_that_died_can_be_started_again(record: dict[str, Any]) -> None:
    os.kill(record["adbd_pid"], signal.SIGKILL)
    with no_hang(20):
        while record in json.loads(script("status", "--json").stdout):
            pass
    with no_hang(20):
        # Whatever else runs on this machine may have the port for a moment.
        while not (said := script("start", "--port", str(record["port"]), "--json").stdout):
            pass
    again = json.loads(said)
    assert again["running"]
    assert again["adbd_pid"] != record["adbd_pid"]


def test_a_process_that_has_taken_over_a_recorded_number_is_spared(tmp_path: Path) -> None:
    """As after a crash: the record is old, and its process ids belong to somebody else."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        folder = tmp_path / "devices" / "5655"
        folder.mkdir(parents=True)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        process = {"pid": stranger.pid, "started": 1, "boot": boot}
        options = {"disk_bytes": None, "auth": False, "public_keys": [], "accept_keys": False}
        record = {
            "port": 5655,
            "options": options,
            "processes": {"monitor": process, "init": process, "adbd": process},
        }
        (folder / "device.json").write_text(json.dumps(record))
        state = {"PWL_LOOPBACK_DIR": str(tmp_path)}
        assert "ended" in script("status", **state).stdout
        assert script("stop", **state).returncode == 0
        assert stranger.poll() is None
        assert not folder.exists()
        stranger.kill()


# ---- the device


def test_it_listens_on_loopback_only(loopback_device: str) -> None:
    port = int(loopback_device.rpartition(":")[2])
    assert listens("127.0.0.1", port)
    # A listener on all interfaces would answer at every address of this machine.
    assert not listens("127.0.0.2", port)
    assert not listens("::1", port)


def test_adbd_has_no_other_way_in(record: dict[str, Any]) -> None:
    """All of adbd's sockets are the one listener, or are of a family that stays on this machine."""
    wanted = [f"0100007F:{record['port']:04X}"]
    deadline = time.monotonic() + 60
    # Connections of tests before may still be on their way to being closed.
    while (found := _outward_sockets(record["adbd_pid"])) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def _outward_sockets(pid: int) -> list[str]:
    """Where a process listens, and what else it has that could lead out of this machine."""
    descriptors: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            descriptors.append(str(entry.readlink()))
    inodes = {match[1] for text in descriptors if (match := re.match(r"socket:\[(\d+)\]", text))}
    local: set[str] = set()
    for table, column in (("unix", 6), ("netlink", 9)):
        rows = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        local |= {row.split()[column] for row in rows}
    listening = {
        row.split()[9]: row.split()[1]
        for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        if row.split()[3] == "0A"
    }
    return [listening.get(inode, "unknown") for inode in inodes - local]


def test_no_root_stands_behind_the_device(record: dict[str, Any]) -> None:
    status = Path(f"/proc/{record['adbd_pid']}/status").read_text()
    uids = re.search(r"^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", status, re.MULTILINE)
    assert uids is not None
    assert "0" not in uids.groups()
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)


def test_programs_are_the_user_shell(device: Device) -> None:
    assert said(device, "id") == "uid=2000(shell) gid=2000(shell) groups=2000(shell)"


@pytest.mark.parametrize("path", ["/x", "/system/bin/x", "/data/x", "/dev/x", "/sys/x", "/etc/x"])
def test_the_file_system_is_read_only(device: Device, path: str) -> None:
    assert device.run(["touch", path], deadline_s=10).returncode != 0


def test_the_root_is_mounted_read_only(device: Device) -> None:
    mounts = said(device, "cat", "/proc/self/mountinfo")
    assert re.search(r"^\d+ \d+ \S+ \S+ / ro,", mounts, re.MULTILINE)


def test_the_hosts_settings_cannot_be_changed(device: Device) -> None:
    done = device.run(["sh", "-c", "echo 1 >/proc/sys/vm/drop_caches"], deadline_s=10)
    assert done.returncode != 0


def test_data_local_tmp_is_the_shell_users(device: Device) -> None:
    assert said(device, "stat", "-c", "%a %U %G", "/data/local/tmp") == "771 shell shell"


def test_the_host_is_not_visible(record: dict[str, Any]) -> None:
    root = "bin data dev etc lib lib64 proc sys system tmp usr"
    with connect(record["spec"]) as device:
        assert said(device, "ls", "/").split() == root.split()
        processes = said(device, "ps", "-A", "-o", "NAME").split()
    assert sorted(processes) == ["NAME", "adbd", "bwrap", "ps"]


def test_programs_do_not_inherit_the_shim(device: Device) -> None:
    environment = said(device, "env")
    assert "LD_PRELOAD" not in environment
    assert "DEVSHIM" not in environment


def test_a_disk_has_the_size_that_was_asked_for(start_loopback: StartLoopback) -> None:
    with connect(start_loopback("--disk", "4194304")["spec"]) as device:
        assert said(device, "stat", "-f", "-c", "%b %S", "/data/local/tmp") == "1024 4096"
        assert said(device, "stat", "-c", "%a %U", "/data/local/tmp") == "771 shell"


def test_properties_are_honest(device: Device) -> None:
    assert said(device, "getprop", "ro.product.model") == "Loopback device"
    assert said(device, "getprop", "ro.product.cpu.abi") == device.properties().abi
    assert said(device, "getprop", "ro.build.version.sdk") == ""
    assert "[ro.product.brand]: [Debian]" in said(device, "getprop")


def test_properties_can_be_set_but_for_those_that_never_change(record: dict[str, Any]) -> None:
    with connect(record["spec"]) as device:
        assert device.run(["setprop", "debug.pwl", "a b"], deadline_s=10).returncode == 0
        assert said(device, "getprop", "debug.pwl") == "a b"
        assert device.run(["setprop", "ro.pwl", "1"], deadline_s=10).returncode == 1
        assert device.run(["setprop", "../x", "1"], deadline_s=10).returncode == 1
        assert said(device, "getprop", "ro.pwl", "default") == "default"


def test_there_are_no_stand_ins_for_android(device: Device) -> None:
    for service in ("dumpsys", "am", "pm", "cmd", "settings"):
        assert device.run([service], deadline_s=10).returncode == 127


# ---- the machine it runs on


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("loopback.host")


def test_a_kernel_that_forbids_user_namespaces_is_told_how_to_allow_them(
    host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = Path("/proc/sys/user/max_user_namespaces").read_text().strip()
    switch = ("user/max_user_namespaces", value, "15000")
    monkeypatch.setattr(host, "NAMESPACE_SWITCHES", [("kernel/missing", "0", "1"), switch])
    error = str(host.sandbox_refused("bwrap: setting up uid map: Permission denied"))
    assert f"forbids user namespaces (user.max_user_namespaces = {value})" in error
    assert "setting up uid map" in error
    assert "sudo sysctl -w user.max_user_namespaces=15000" in error


def test_missing_packages_are_named_in_one_line_for_those_who_are_not_root(
    host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    needs = [
        host.HostPackage("second", "no-such-command"),
        host.HostPackage("first", "/no/such/file"),
        host.HostPackage("coreutils", "ls"),
    ]
    with pytest.raises(Exception, match="not installed: first, second") as caught:
        host.require(needs)
    line = "sudo apt-get install --yes --no-install-recommends first second"
    assert str(caught.value).splitlines()[-1].endswith(line)


# ---- setting it up


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which an interrupted setup lies, after two setups at once."""
    if sys.platform != "linux":
        pytest.skip("the loopback device needs Linux")
    state = tmp_path_factory.mktemp("loopback")
    (state / "building-interrupted" / "root").mkdir(parents=True)
    (state / "stranger").write_text("not ours")
    environment = {**os.environ, "PWL_LOOPBACK_DIR": str(state)}
    setups = [
        subprocess.Popen([SCRIPT, "setup"], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = {setup.communicate(timeout=300)[0] for setup in setups}
    assert [setup.returncode for setup in setups] == [0, 0]
    assert len(outputs) == 1
    return state


def test_two_setups_at_once_make_one_root(fresh: Path) -> None:
    assert len([path for path in fresh.glob("root-*") if path.is_dir()]) == 1


def test_an_interrupted_setup_is_cleared_away(fresh: Path) -> None:
    assert list(fresh.glob("building-*")) == []


def test_the_root_says_what_it_is_made_of(fresh: Path) -> None:
    (packages,) = fresh.glob("root-*.packages.txt")
    lines = packages.read_text().splitlines()
    assert {"adbd", "mksh", "toybox", "libc6"} <= {line.split()[0] for line in lines}
    assert all(re.fullmatch(r"\S+ \S+ sha256:[0-9a-f]{64}", line) for line in lines)


def test_setup_when_set_up_changes_nothing(fresh: Path) -> None:
    (root,) = (path for path in fresh.glob("root-*") if path.is_dir())
    before = root.stat().st_mtime_ns
    done = script("setup", PWL_LOOPBACK_DIR=str(fresh))
    assert done.stdout == f"{root}\n"
    assert root.stat().st_mtime_ns == before


def test_a_folder_that_only_its_owner_may_enter_is_no_obstacle(fresh: Path) -> None:
    assert stat.S_IMODE(fresh.parent.stat().st_mode) == 0o700
    done = script("start", "--port", "0", PWL_LOOPBACK_DIR=str(fresh))
    assert done.returncode == 0, done.stderr
    with connect(done.stdout.strip()) as device:
        assert said(device, "echo", "here") == "here"
    script("stop", PWL_LOOPBACK_DIR=str(fresh))


def test_clean_stops_all_and_removes_only_what_is_ours(fresh: Path) -> None:
    done = script("start", "--port", "0", "--json", PWL_LOOPBACK_DIR=str(fresh))
    started = json.loads(done.stdout)
    with connect(started["spec"]) as device:
        hide = "mkdir -p /data/local/tmp/a/b; chmod 0 /data/local/tmp/a"
        assert device.run(["sh", "-c", hide], deadline_s=10).returncode == 0
    done = script("clean", PWL_LOOPBACK_DIR=str(fresh))
    assert done.stdout == f"stopped {started['spec']}\n"
    assert [path.name for path in fresh.iterdir()] == ["stranger"]
    assert not listens("127.0.0.1", started["port"])
