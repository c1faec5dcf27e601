"""Why the timings of a report may be those of something else: the one rule of profile and gates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.report.schema import Report

#: Share of the processors' time in use when measuring begins, above which timings are suspect.
_BUSY = 0.25
_HOT_CELSIUS = 60.0
_LOW_BATTERY_PERCENT = 20


def suspicions(report: Report) -> list[str]:
    """What the device's state and the samples say against a report's timings, in words.

    What only the campaign knew, as that the device allows no cold starts, is among the reasons of
    the report's own verdict.
    """
    return [*_harness(report), *_device(report), *_starts(report)]


def _harness(report: Report) -> Iterator[str]:
    """A harness with glibc is right for what runs Linux; an app runs on Android's C library."""
    context = report.context
    if context.target == "linux-arm64" or (context.target == "host" and context.device.sdk):
        yield "glibc harness: not bionic"


def _device(report: Report) -> Iterator[str]:
    """Of the states before and after; what the device did not say is None or left out."""
    states = {"before": report.context.before, "after": report.context.after}
    busy = report.context.before.busy_share
    if busy is not None and busy > _BUSY:
        yield f"the device was busy when measuring began: {busy:.0%} of its processors"
    for name, state in states.items():
        heat = state.hottest_celsius
        if heat is not None and heat > _HOT_CELSIUS:
            yield f"the device was hot {name} measuring: {heat:.0f} °C"
        charge = state.battery_percent
        if charge is not None and charge < _LOW_BATTERY_PERCENT:
            yield f"the battery was low {name} measuring: {charge:.0f} %"


def _starts(report: Report) -> Iterator[str]:
    found = [(s.state, s.pages - s.resident_pages) for starts in report.runs.ttfi for s in starts]
    found += [(s.state, s.pages - s.resident_pages) for runs in report.runs.progress for s in runs]
    if partly := sum(1 for state, absent in found if state == "warm" and absent):
        yield f"{partly} warm starts found some of their files out of memory"
