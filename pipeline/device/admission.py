"""Whether a device is measured now: waiting for what passes, refusing what does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.errors import DeviceError
from pipeline.core.progress import Progress
from pipeline.device.base import Device, DeviceProperties
from pipeline.device.guards import (
    GUARD_IDS,
    HEAT,
    PASSING_GUARDS,
    REMEDIES,
    Finding,
    GuardId,
    findings,
    is_refused,
)
from pipeline.device.state import DeviceState, read_state

#: Seconds between two looks at a device that is waited for.
PAUSE_S = 5.0


class NotFitError(DeviceError):
    """The device is in a state in which it would be measured as other than it is."""


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """What is asked of a device.

    Attributes:
        allow: guards that do not refuse.
        wait_s: seconds that are waited, in all, for heat and load to pass.
    """

    allow: tuple[GuardId, ...] = ()
    wait_s: float = 300.0


class Admission:
    """The guard at a device's door, before and while it is measured.

    Args:
        device: which one.
        properties: what it is.
        options: what is asked of it.
        progress: where waiting is announced.
        pause: waits so many seconds.
    """

    def __init__(
        self,
        device: Device,
        properties: DeviceProperties,
        options: GuardOptions,
        progress: Progress,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._device = device
        self._properties = properties
        self._options = options
        self._progress = progress
        self._pause = pause
        self._left_s = options.wait_s

    def require_fit(self, watch_s: float) -> DeviceState:
        """The state of a device that can be measured, waited for where that helps.

        Args:
            watch_s: see `read_state`.

        Raises:
            NotFitError: it cannot be measured now; the message names every guard that refuses.
            DeviceError: it is gone.
        """
        state = read_state(self._device, watch_s)
        refusing = self._refusing(state)
        if refusing and PASSING_GUARDS.issuperset(one.id for one in refusing):
            state = self._waited(state, PASSING_GUARDS, watch_s)
            refusing = self._refusing(state)
        if refusing:
            raise self._refusal(refusing)
        return state

    def between_rounds(self) -> DeviceState:
        """The state in the middle of a measurement; heat is waited for, and nothing refused.

        Raises:
            DeviceError: the device is gone.
        """
        return self._waited(read_state(self._device, 0), HEAT, 0)

    def require(self, name: GuardId, text: str) -> None:
        """Refuses for what only measuring shows, unless it is allowed.

        Raises:
            NotFitError: it is not.
        """
        if is_refused(self._properties) and name not in self._options.allow:
            raise self._refusal([Finding(id=name, text=text)])

    def _refusing(self, state: DeviceState) -> list[Finding]:
        if not is_refused(self._properties):
            return []
        found = findings(self._properties, state)
        return [one for one in found if one.id not in self._options.allow]

    def _waited(self, state: DeviceState, ids: frozenset[str], watch_s: float) -> DeviceState:
        """The state once none of `ids` stands against it, or once waiting is over."""

        def standing() -> list[Finding]:
            return [one for one in self._refusing(state) if one.id in ids]

        if not standing() or self._left_s <= 0:
            return state
        with self._progress.task(f"waiting for {self._device.spec}", total=self._left_s) as task:
            while (found := standing()) and self._left_s > 0:
                seconds = min(PAUSE_S, self._left_s)
                task.advance(0, "; ".join(map(str, found)))
                begin = time.monotonic()
                self._pause(seconds)
                state = read_state(self._device, watch_s)
                passed = max(seconds, time.monotonic() - begin)
                self._left_s -= passed
                task.advance(passed)
        return state

    def _refusal(self, found: list[Finding]) -> NotFitError:
        names = [name for name in GUARD_IDS if name in {one.id for one in found}]
        remedies = [REMEDIES[name] for name in names]
        allowing = " ".join(f"--allow {name}" for name in names)
        return NotFitError(
            f"{self._device.spec} cannot be measured now: " + "; ".join(map(str, found)),
            f"{'; '.join(remedies)}; or measure all the same, which the report then says, with "
            f"{allowing}",
        )
