"""Why the timings of a report may be those of something else: the one rule of profile and gates.

Every reason has an id, so that a gates file can allow it: those of `pipeline.device.guards`, and
those that only a report shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, get_args

from pipeline.device.guards import Finding, GuardId, findings
from pipeline.harness import contention

if TYPE_CHECKING:
    from pipeline.report.schema import Report

#: A harness with another C library than an app's; warm starts whose files were not in memory.
ReportReasonId = Literal["GLIBC-HARNESS", "NOT-WARM"]
#: Everything that a gates file can allow.
ReasonId = GuardId | ReportReasonId
REASON_IDS: tuple[str, ...] = (*get_args(GuardId), *get_args(ReportReasonId))
#: The id of results that are wrong, which nothing allows.
WRONG_RESULTS = "WRONG-RESULTS"
#: So many disturbed runs hardly move a median.
_DISTURBED_SHARE = 0.1


def suspicions(report: Report) -> list[Finding]:
    """What the device's states and the samples say against a report's timings."""
    return [
        *_harness(report),
        *_device(report),
        *_cold(report),
        *_warm(report),
        *_waited(report),
    ]


def reasons_of(report: Report) -> list[Finding]:
    """The report's own reasons, and what speaks against its timings whatever it says; each once."""
    found = (*report.validity.reasons, *suspicions(report))
    return [*{(one.id, one.text): one for one in found}.values()]


def _harness(report: Report) -> Iterator[Finding]:
    """A harness with glibc is right for what runs Linux; an app runs on Android's C library."""
    context = report.context
    if context.target == "linux-arm64" or (context.target == "host" and context.device.sdk):
        yield Finding(id="GLIBC-HARNESS", text="glibc harness: not bionic")


def _device(report: Report) -> Iterator[Finding]:
    """Of the states before, between and after; what is found more than once is told once."""
    context = report.context
    moments = {"before measuring": context.before, "after measuring": context.after}
    for when, state in moments.items():
        for found in findings(context.device, state):
            yield Finding(id=found.id, text=f"{found.text}, {when}")
    looks = [
        {found.id: found.text for found in findings(context.device, state)}
        for state in context.between
    ]
    for name in dict.fromkeys(name for look in looks for name in look):
        texts = [look[name] for look in looks if name in look]
        times = f"at {len(texts)} of {len(looks)} looks between rounds"
        yield Finding(id=name, text=f"{texts[-1]}, {times}")


def _cold(report: Report) -> Iterator[Finding]:
    asked = {state for state in report.context.options.states if state != "warm"}
    had = {sample.state for starts in report.runs.ttfi for sample in starts}
    if missing := sorted(asked - had):
        text = f"no {' and no '.join(missing)} starts: files stay in the device's memory"
        yield Finding(id="CACHE-NOT-DROPPED", text=text)


def _waited(report: Report) -> Iterator[Finding]:
    """Runs that stayed although something else had the processors: there was no better one."""
    runs = report.runs
    waited = [contention.of_start(start) for starts in runs.ttfi for start in starts]
    climbs = (*runs.climbs, *runs.two_step)
    waited += [contention.of_progress(run) for each in climbs for run in each]
    waited += [contention.of_latencies(each) for each in runs.latency]
    disturbed = [ratio for ratio in waited if ratio > contention.LIMIT]
    if len(disturbed) > _DISTURBED_SHARE * len(waited):
        text = (
            f"{len(disturbed)} of {len(waited)} runs waited for processors (wall over CPU time up "
            f"to {max(disturbed):.1f}, {contention.LIMIT} may be), and {len(runs.rejected)} more "
            "were run again"
        )
        yield Finding(id="OTHER-LOAD", text=text)


def _warm(report: Report) -> Iterator[Finding]:
    found = [(s.state, s.pages - s.resident_pages) for starts in report.runs.ttfi for s in starts]
    climbs = (*report.runs.progress, *report.runs.served, *report.runs.two_step)
    found += [(s.state, s.pages - s.resident_pages) for runs in climbs for s in runs]
    if partly := sum(1 for state, absent in found if state == "warm" and absent):
        text = f"{partly} warm starts found some of their files out of memory"
        yield Finding(id="NOT-WARM", text=text)
