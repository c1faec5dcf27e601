"""The bars of the sizes that people ship, and why one is missed, in numbers of the same report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks.size_tables import Measured
from pipeline.report.render.terminal import table_console

Reason = Callable[[Measured], str]


@dataclass(frozen=True, slots=True)
class Bar:
    """What must not be exceeded, or, without limits, what a reader may want to know.

    Attributes:
        words: what is compared.
        names: of ratios or metrics, all of which have to be within the limit.
        limits: by a key of `SIZES`.
        reason: what goes into the number, for one that is missed.
    """

    words: str
    names: tuple[str, ...]
    limits: dict[str, float]
    reason: Reason


def _ms(found: Measured, name: str) -> float:
    return found.median(name) or 0.0


def _of_first_answer(found: Measured) -> str:
    """Of what a first answer is made, and what the student takes once it is there."""
    arm = "phase_ms.pwl.warm."
    steady = _ms(found, "latency_ms.stage-0")
    parts = {name: _ms(found, f"{arm}{name}") for name in ("engine", "map", "parse", "prepare")}
    loading, first = sum(parts.values()), _ms(found, f"{arm}run0")
    return (
        f"warm: loading {loading:.2g} ms, first inference {first:.2g} ms; of the student, a steady "
        f"one takes {steady:.2g} ms, of the teacher {_ms(found, 'latency_ms.teacher'):.2g} ms, "
        f"its first answer {_ms(found, 'ttfi_ms.teacher.warm'):.3g} ms"
    )


def _of_swap(found: Measured) -> str:
    last = len(found.report.stages) - 1
    parts = [
        f"{stage}: {_ms(found, f'first_after_swap_ms.{stage}.30fps'):.2g}"
        for stage in range(1, last + 1)
    ]
    return f"first inference on each stage, at 30/s, ms: {', '.join(parts)}"


def _of_final(found: Measured) -> str:
    loads = sum(
        _ms(found, f"swap_load_ms.{stage}.warm") for stage in range(1, len(found.report.stages))
    )
    return (
        f"warm: blocks load for {loads:.3g} ms beside inferences, the teacher alone has its first "
        f"answer after {_ms(found, 'ttfi_ms.teacher.warm'):.3g} ms"
    )


def _of_memory(found: Measured) -> str:
    parts = []
    for part in ("weights", "workspaces", "mappings", "rest"):
        ours, alone = (_ms(found, f"peak_part_mb.{arm}.{part}") for arm in ("pwl", "teacher"))
        parts.append(f"{part} {ours:.3g} against {alone:.3g}")
    return f"MB at the highest: {', '.join(parts)}"


def _of_steady(found: Measured) -> str:
    return (
        f"{found.report.bundle.blocks} programs one after the other: "
        f"{_ms(found, f'latency_ms.stage-{len(found.report.stages) - 1}'):.3g} against "
        f"{_ms(found, 'latency_ms.teacher'):.3g} ms in one"
    )


def _limits(*values: float) -> dict[str, float]:
    return dict(zip(("demo", "mobilenet-v2", "vit-b16"), values, strict=True))


def _both(name: str) -> tuple[str, str]:
    return f"{name}.cold", f"{name}.warm"


#: What is measured where a bundle has the arm: how much of a first answer is due to the units.
_NO_LIMITS: dict[str, float] = {}

BARS = (
    Bar(
        "first answer, PWL (int8 student) / fp32 student alone",
        _both("ttfi_over_student"),
        _limits(0.50, 0.60, 0.90),
        _of_first_answer,
    ),
    Bar(
        "(first answer, PWL / the same int8 student in one file)",
        _both("ttfi_over_student8"),
        _NO_LIMITS,
        _of_first_answer,
    ),
    Bar(
        "first answer, PWL / fp32 teacher",
        _both("ttfi_over_teacher"),
        _limits(0.07, 0.08, 0.05),
        _of_first_answer,
    ),
    Bar(
        "first answer, PWL / int8 teacher",
        _both("ttfi_over_teacher8"),
        _limits(0.20, 0.30, 0.20),
        _of_first_answer,
    ),
    Bar(
        "first after a swap / steady, at 30/s",
        ("first_after_swap_over_steady.worst.30fps",),
        _limits(1.3, 1.3, 1.3),
        _of_swap,
    ),
    Bar(
        "last stage / teacher's first answer, at 30/s",
        ("final_over_teacher_ttfi.30fps",),
        _limits(1.00, 1.05, 1.05),
        _of_final,
    ),
    Bar(
        "the same, closed loop",
        _both("final_over_teacher_ttfi"),
        _limits(1.15, 1.20, 1.20),
        _of_final,
    ),
    Bar(
        "peak memory / teacher alone",
        ("peak_rss_over_teacher.warm",),
        _limits(0.90, 1.10, 1.10),
        _of_memory,
    ),
    Bar(
        "final steady / teacher",
        ("latency_final_over_teacher",),
        _limits(1.02, 1.03, 1.02),
        _of_steady,
    ),
)


def print_size_bars(found: Sequence[Measured]) -> None:
    """A row for each bar and engine; what is missed is told why below."""
    measured = [each for each in found if each.name in BARS[0].limits]
    if not measured:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("bar", "on"):
        table.add_column(head)
    for head in ("at most", "median, 95 %", ""):
        table.add_column(head, justify="right")
    missed: list[str] = []
    for bar in BARS:
        for each in measured:
            limit = bar.limits.get(each.name)
            medians = [each.median(name) for name in bar.names]
            known = [value for value in medians if value is not None]
            verdict = "not measured"
            if known:
                verdict = verdict_of(max(known), limit)
            values = "\n".join(each.interval(name) for name in bar.names)
            most = "-" if limit is None else f"{limit:.2f}"
            table.add_row(bar.words, each.title, most, values, verdict)
            if verdict == "MISSED":
                missed.append(f"- {each.title}, {bar.words}: {bar.reason(each)}")
    table_console().print(table)
    if any(len(bar.names) > 1 for bar in BARS):
        print("two values are a cold and a warm start's\n")
    print("\n".join(missed))


def verdict_of(value: float, limit: float | None) -> str:
    """Whether a bar is cleared; nothing where there is none."""
    if limit is None:
        return ""
    return "cleared" if value <= limit else "MISSED"
