"""Which cores a user's words mean."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UsageError
from pipeline.device.cores import chosen_cores, parse_cores
from pipeline.device.state import Core

#: One prime, three big, four little cores, one of which is off.
PHONE = [
    Core(index=i, online=i != 3, capacity=size) for i, size in enumerate(4 * [280] + 3 * [850])
]
PHONE.append(Core(index=7, online=True, capacity=1024))
ALIKE = [Core(index=i, capacity=1024) for i in range(2)]


@pytest.mark.parametrize(
    ("text", "cores", "chosen"),
    [
        ("all", PHONE, ()),
        ("all", [], ()),
        ("big", PHONE, (4, 5, 6, 7)),
        ("big", ALIKE, (0, 1)),
        ("0,4-5", PHONE, (0, 4, 5)),
        ("7", PHONE, (7,)),
    ],
)
def test_cores_are_chosen_by_size_or_number(
    text: str, cores: list[Core], chosen: tuple[int, ...]
) -> None:
    assert chosen_cores(parse_cores(text), cores, "phone") == chosen


@pytest.mark.parametrize(
    ("text", "cores", "said"),
    [
        ("3-4", PHONE, "phone has no core 3 that runs"),
        ("8", PHONE, "phone has no core 8 that runs"),
        ("0", [], "phone has no core 0"),
        ("big", [Core(index=0), Core(index=1, capacity=1024)], "does not say how large"),
        ("big", [], "does not say how large"),
    ],
)
def test_what_a_device_has_not_is_told(text: str, cores: list[Core], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chosen_cores(text, cores, "phone")


@pytest.mark.parametrize("text", ["", "little", "4-", "-1", "4-2", "0;1", "0, 1", "1000", "²"])
def test_what_names_no_cores_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--cores"):
        parse_cores(text)
