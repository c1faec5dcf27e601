"""Which devices are measured at the same time."""

from __future__ import annotations

from pipeline.device.identity import Identity, this_kernel
from pipeline.workflows.turns import next_turns, share_processor

PHONE, OTHER = Identity("a", "1"), Identity("b", "1")
HERE = [Identity(this_kernel(), place) for place in ("1", "2")]
EMULATOR = Identity("c", "1", virtual=True)
SILENT = Identity("", "")


def test_phones_are_measured_at_the_same_time() -> None:
    assert next_turns([PHONE, OTHER], []) == [0, 1]


def test_two_folders_of_one_kernel_are_measured_one_after_the_other() -> None:
    assert next_turns([PHONE, Identity("a", "2"), OTHER], []) == [0, 2]
    assert next_turns([Identity("a", "2")], [PHONE, OTHER]) == []
    assert next_turns([Identity("a", "2")], [OTHER]) == [0]


def test_what_runs_on_this_machine_waits_for_all_others_and_goes_alone() -> None:
    assert next_turns([*HERE, PHONE, EMULATOR], []) == [2]
    assert next_turns([*HERE, EMULATOR], [PHONE]) == []
    assert next_turns([*HERE, EMULATOR], []) == [0]
    assert next_turns([HERE[1], EMULATOR], [HERE[0]]) == []
    assert next_turns([EMULATOR], []) == [0]
    assert next_turns([PHONE], [HERE[0]]) == []


def test_devices_that_do_not_say_their_kernel_are_taken_for_one() -> None:
    assert next_turns([SILENT, SILENT, PHONE], []) == [0, 2]
    assert share_processor(SILENT, SILENT)


def test_an_emulator_shares_the_processor_of_this_machine() -> None:
    assert share_processor(EMULATOR, HERE[0])
    assert not share_processor(PHONE, EMULATOR)
    assert not share_processor(PHONE, OTHER)
