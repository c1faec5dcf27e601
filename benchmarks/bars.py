"""The bars that progressive loading has to clear, measured in one interleaved run.

    python -m benchmarks.bars [BUNDLE] [--device local] [--rounds 31]
    python -m benchmarks.bars --sizes [reports/sizes]

Ratios are medians of ratios within rounds, with 95 % intervals. Nothing is asserted: a shared
machine decides too much. Run it on an idle one. With --sizes nothing is measured: the bars of the
sizes that people ship, of what benchmarks/sizes.py kept, each missed one with the reason.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks.size_bars import print_size_bars, verdict_of
from benchmarks.size_tables import kept
from pipeline.core.progress import progress_for_terminal
from pipeline.report.integrity import require_right_results
from pipeline.report.render.tables import print_report
from pipeline.report.render.terminal import table_console
from pipeline.report.schema import Report
from pipeline.workflows.measure_device import ProfileOptions, measure, write_report

#: What is compared, the name in the report, the bar; none for what a reader may want to know.
BARS: tuple[tuple[str, str, float | None], ...] = (
    ("first answer, chain / student in one file, cold", "ttfi_over_student.cold", 1.05),
    ("first answer, chain / student in one file, warm", "ttfi_over_student.warm", 1.05),
    ("(first answer, progressive / student in int8, cold)", "ttfi_over_student8.cold", None),
    ("(first answer, progressive / student in int8, warm)", "ttfi_over_student8.warm", None),
    ("first answer, progressive / teacher, cold", "ttfi_over_teacher.cold", 0.30),
    ("first answer, progressive / teacher, warm", "ttfi_over_teacher.warm", 0.30),
    ("steady latency, final stage / teacher", "latency_final_over_teacher", 1.05),
    ("worst latency while a block loads / steady", "swap_stall", 1.50),
    ("(the same just before, nothing loading)", "swap_stall_quiet", 1.50),
    (
        "first inference after a swap / steady, at 30 frames a second",
        "first_after_swap_over_steady.worst.30fps",
        1.30,
    ),
    (
        "final stage / teacher's first answer, at 30 frames a second",
        "final_over_teacher_ttfi.30fps",
        1.0,
    ),
    ("final stage reached / teacher's first answer, cold", "final_over_teacher_ttfi.cold", 1.25),
    ("final stage reached / teacher's first answer, warm", "final_over_teacher_ttfi.warm", 1.25),
    ("peak memory, progressive / teacher", "peak_rss_over_teacher.warm", 1.15),
)
#: LiteRT builds an interpreter for every unit of the chain.
_LITERT_CHAIN = 1.10


def main() -> None:
    """Measures, prints the tables of the report and then the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", type=Path, default=Path("dist/digits-resnet"))
    parser.add_argument("--device", default="local")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path, default=Path("reports/bars"))
    parser.add_argument("--sizes", nargs="?", type=Path, const=Path("reports/sizes"))
    options = parser.parse_args()
    if options.sizes is not None:
        print_size_bars(kept(options.sizes))
        return
    how = ProfileOptions(device=options.device, rounds=options.rounds)
    report = measure(options.bundle, how, progress_for_terminal())
    write_report(report, options.out)
    print_report(report)
    print_bars(report)
    require_right_results(report, options.out)


def print_bars(report: Report) -> None:
    """Each bar with what was measured and whether it is cleared."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("bar")
    for name in ("at most", "median", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    litert = report.context.engine.startswith("litert")
    for words, name, limit in BARS:
        if litert and name.startswith("ttfi_over_student"):
            limit = _LITERT_CHAIN
        most = "-" if limit is None else f"{limit:.2f}"
        measured = report.ratios.get(name) or report.metrics.get(name)
        if measured is None:
            table.add_row(words, most, "-", "-", "not measured")
            continue
        interval = f"{measured.low:.3f}-{measured.high:.3f}"
        verdict = verdict_of(measured.median, limit)
        table.add_row(words, most, f"{measured.median:.3f}", interval, verdict)
    differing = max(stage.differing for stage in report.stages)
    worst = "cleared" if differing <= 1 else "MISSED"
    table.add_row("images that device and host label differently", "1", str(differing), "", worst)
    table_console().print(table)


if __name__ == "__main__":
    main()
