"""Which cores a measurement is bound to, from what a user says and a device has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.core.errors import UsageError
from pipeline.device.state import Core

ALL_CORES = "all"
BIG = "big"
#: Cores of at least this share of the largest one's capacity are big: little ones have a sixth to
#: two fifths, what stands between a half and more.
BIG_SHARE = 0.5
_FORMS = f"{ALL_CORES} (wherever the system puts it), {BIG}, or numbers such as 4-7 or 0,4-7"


def parse_cores(text: str) -> str:
    """A choice of cores as `chosen_cores` takes it.

    Raises:
        UsageError: it is none.
    """
    if text not in (ALL_CORES, BIG) and not _numbers(text):
        raise UsageError(f"--cores {text}: no cores", f"write {_FORMS}")
    return text


def chosen_cores(text: str, cores: Sequence[Core], spec: str) -> tuple[int, ...]:
    """The numbers of the cores that a choice means on a device; none for all.

    Args:
        text: as `parse_cores` takes it.
        cores: those of the device.
        spec: name of the device, for messages.

    Raises:
        UsageError: the device has no such cores, or does not say which ones are big.
    """
    if text == ALL_CORES:
        return ()
    running = {core.index: core for core in cores if core.online is not False}
    if text == BIG:
        sizes = {index: core.capacity for index, core in running.items() if core.capacity}
        if not sizes or len(sizes) < len(running):
            raise UsageError(
                f"--cores {BIG}: {spec} does not say how large its cores are",
                "name them, such as --cores 4-7: which ones are fast stands in "
                "/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq",
            )
        return tuple(i for i, size in sizes.items() if size >= BIG_SHARE * max(sizes.values()))
    asked = _numbers(text)
    if missing := [index for index in asked if index not in running]:
        raise UsageError(
            f"--cores {text}: {spec} has no core {', '.join(map(str, missing))} that runs",
            f"it has {', '.join(map(str, running)) or 'none that it tells of'}",
        )
    return asked


def _numbers(text: str) -> tuple[int, ...]:
    """``0,4-7`` as numbers, in order; nothing where it is something else."""
    if not re.fullmatch(r"[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?)*", text):
        return ()
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first):
            return ()
        found.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))
