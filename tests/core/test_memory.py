from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.memory import available_memory

MB = 1 << 20


def tree(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


MACHINE = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   102400 kB"}  # 100 MB
V2 = {"proc/self/cgroup": "0::/box/inner"}
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/box/inner\n0::/"}


def group(name: str, limit: object, used: int, file: int, v1: bool = False) -> dict[str, object]:
    place = f"sys/fs/cgroup/{'memory/' if v1 else ''}{name}memory."
    names = ("limit_in_bytes", "usage_in_bytes") if v1 else ("max", "current")
    stat = f"anon 7\n{'total_' if v1 else ''}inactive_file {file}"
    return {place + names[0]: limit, place + names[1]: used, f"{place}stat": stat}


@pytest.mark.parametrize(
    ("files", "megabytes"),
    [
        (MACHINE, 100),
        (MACHINE | V2 | group("box/inner/", "max", 40 * MB, 0), 100),
        (MACHINE | V2 | group("box/inner/", 50 * MB, 40 * MB, 5 * MB), 15),
        (MACHINE | V2 | group("box/", 50 * MB, 40 * MB, 0), 10),  # one around it has less
        (MACHINE | V2 | group("", 60 * MB, 40 * MB, 0), 20),  # seen from within a container
        (MACHINE | V2 | group("box/inner/", 50 * MB, 51 * MB, 0), 0),
        (MACHINE | V1 | group("box/inner/", 50 * MB, 40 * MB, 5 * MB, v1=True), 15),
        (MACHINE | V1 | group("", 60 * MB, 40 * MB, 0, v1=True), 20),
        (MACHINE | V1 | group("box/inner/", 2**63 - 4096, 40 * MB, 0, v1=True), 100),
    ],
)
def test_the_least_of_machine_and_groups_is_available(
    files: dict[str, object], megabytes: int, tmp_path: Path
) -> None:
    assert available_memory(tree(tmp_path, files)) == megabytes * MB


def test_a_system_that_says_nothing_has_half_of_its_memory(tmp_path: Path) -> None:
    assert available_memory(tmp_path) > MB
