"""Which devices may be measured at the same time.

Two programs on one processor slow each other down. So devices that share a kernel, such as two
folders of one board, are measured one after the other. And what runs on this machine's processor
(``local``, a loopback device, an emulator) waits until no other device is being measured, since
that is work for this machine, too; then it goes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.device.identity import Identity


def next_turns(waiting: Sequence[Identity], running: Sequence[Identity]) -> list[int]:
    """The indices of those waiting devices that may be measured now.

    Devices that do not say which kernel they run count as one processor's.

    Args:
        waiting: in the order in which they were named.
        running: those that are being measured.
    """
    if any(each.is_here for each in running):
        return []
    taken = {each.kernel for each in running}
    found: list[int] = []
    for index, each in enumerate(waiting):
        if not each.is_here and each.kernel not in taken:
            taken.add(each.kernel)
            found.append(index)
    if not found and not running and waiting:
        found.append(0)  # nothing else is left than what runs here
    return found


def share_processor(one: Identity, other: Identity) -> bool:
    """Whether two devices slow each other down."""
    return (one.is_here and other.is_here) or one.kernel == other.kernel
