"""The device's state while it was measured, and the runs that were run again, as rows of words."""

from __future__ import annotations

from collections import Counter
from statistics import median

from pipeline.core.formatting import counted
from pipeline.report.schema import Report
from pipeline.report.state_words import FACTS


def state_rows(report: Report) -> list[list[str]]:
    """A row for each fact that any of the states tells: before, between the rounds, after."""
    context = report.context
    rows: list[list[str]] = []
    for name, words in FACTS:
        between = Counter(text for state in context.between if (text := words(state)))
        cells = [words(context.before), _spread(between), words(context.after)]
        if any(cells):
            rows.append([name, *(cell or "" for cell in cells)])
    return rows


def build_words(report: Report) -> str:
    """What the device is made of and runs, as far as it says."""
    extra = report.context.device.extra
    soc = " ".join(filter(None, (extra.get("ro.soc.manufacturer"), extra.get("ro.soc.model"))))
    platform = extra.get("ro.board.platform", "")
    parts = [soc or platform, extra.get("ro.build.fingerprint", ""), extra.get("kernel", "")]
    return ", ".join(filter(None, parts))


def cores_words(report: Report) -> str:
    """Where the harness ran."""
    cores = ", ".join(map(str, report.context.harness.cores))
    return f"bound to cores {cores}" if report.context.cores else f"on any of the cores {cores}"


def rejected_words(report: Report) -> str:
    """How many runs waited for processors and were run again; empty for none."""
    rejected = report.runs.rejected
    if not rejected:
        return ""
    kinds = Counter(
        ("start", f" of {run.ttfi.arm}")
        if run.ttfi is not None
        else ("progressive run" if run.progress is not None else "latency run", "")
        for run in rejected
    )
    named = ", ".join(f"{counted(count, noun)}{of}" for (noun, of), count in sorted(kinds.items()))
    waited = [run.wall_over_cpu for run in rejected]
    return (
        f"{counted(len(rejected), 'run')} waited for processors and "
        f"{'was' if len(rejected) == 1 else 'were'} run again ({named}): wall over CPU time "
        f"{median(waited):.1f}, at most {max(waited):.1f}"
    )


def _spread(found: Counter[str]) -> str | None:
    """What was said most of the time; the others by number."""
    if not found:
        return None
    (most, _), *others = found.most_common()
    return f"{most} (mostly; {len(others)} others)" if others else most
