"""ExecuTorch and LiteRT side by side: the same model, one interleaved run.

    python -m pipeline.build profiles/digits-resnet.toml --out dist/digits-resnet
    python -m pipeline.build profiles/digits-resnet.toml --backend litert --out dist/digits-litert
    python -m benchmarks.backends [--device local] [--rounds 21]
    python -m benchmarks.backends --markdown [README.md]

Prints medians of both, and the median of the ratio LiteRT / ExecuTorch within rounds with its 95 %
interval. Nothing is asserted: a shared machine decides too much. Run it on an idle one. With
--markdown nothing is measured: a shorter table is of the two reports that were kept below --out,
and takes its place in a page where one is named.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks.size_tables import digits, machine_of, put_into_page, table
from pipeline.core.progress import progress_for_terminal
from pipeline.report.integrity import require_right_results
from pipeline.report.ratios import estimate_of_ratio
from pipeline.report.render.terminal import table_console
from pipeline.report.report_file import load_report
from pipeline.report.schema import Metric, Report
from pipeline.workflows.measure_device import ProfileOptions, measure_together, write_report

_STATES = ("cold", "cold-cached", "warm")
#: The demo's arms: what each is, and its name in the report.
_ARMS = (
    ("PWL", "pwl"),
    ("student alone", "student"),
    ("int8 student alone", "student8"),
    ("teacher alone", "teacher"),
    ("int8 teacher alone", "teacher8"),
    ("teacher's blocks in parallel", "chain"),
)
#: What is shown, the name in the report, and by how much it is divided.
_ROWS = (
    *(
        (f"first answer, {arm}, {state}, ms", f"ttfi_ms.{name}.{state}", 1.0)
        for state in _STATES
        for arm, name in _ARMS
    ),
    *((f"final stage reached, {state}, ms", f"time_to_final_ms.{state}", 1.0) for state in _STATES),
    ("steady latency, stage 0, ms", "latency_ms.stage-0", 1.0),
    ("steady latency, final stage, ms", "latency_ms.stage-{final}", 1.0),
    ("steady latency, teacher alone, ms", "latency_ms.teacher", 1.0),
    ("worst latency while a block loads / steady", "swap_stall", 1.0),
    ("peak memory, progressive, MB", "peak_rss_mb.pwl.warm", 1.0),
    ("peak memory, teacher alone, MB", "peak_rss_mb.teacher.warm", 1.0),
    ("weight caches on disk, all blocks, MB", "cache_bytes.all.cold-cached", 1e6),
    ("bundle, MB", "bundle_bytes", 1e6),
)
_TITLES = {"executorch": "ExecuTorch", "litert": "LiteRT"}
#: The same for a page: the quantities of a row are told apart by slashes.
_PAGE_ROWS = (
    *(
        (f"first answer, {arm} *", [f"ttfi_ms.{name}.{state}" for state in _STATES])
        for arm, name in _ARMS
    ),
    ("last stage reached *", [f"time_to_final_ms.{state}" for state in _STATES]),
    ("steady latency, last stage", ["latency_ms.stage-{final}"]),
    ("worst latency while a block loads / steady", ["swap_stall"]),
    (
        "peak memory: PWL / teacher alone",
        ["peak_rss_mb.pwl.warm", "peak_rss_mb.teacher.warm"],
    ),
    (
        "bundle / weight caches of all blocks",
        ["bundle_bytes", "cache_bytes.all.cold-cached"],
    ),
)


def main() -> None:
    """Measures both bundles in turns and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executorch", type=Path, default=Path("dist/digits-resnet"))
    parser.add_argument("--litert", type=Path, default=Path("dist/digits-litert"))
    parser.add_argument("--device", default="local")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--out", type=Path, default=Path("reports/backends"))
    parser.add_argument("--markdown", nargs="?", const="-", metavar="PAGE", help="see above")
    options = parser.parse_args()
    if options.markdown is not None:
        kept = [load_report(options.out / name / "report.json") for name in _TITLES]
        text = side_by_side(*kept)
        if options.markdown == "-":
            print(text)
        else:
            put_into_page("backends", Path(options.markdown), text)
        return
    how = ProfileOptions(device=options.device, states=_STATES, rounds=options.rounds)
    both = [options.executorch, options.litert]
    executorch, litert = measure_together(both, how, progress_for_terminal())
    write_report(executorch, options.out / "executorch")
    write_report(litert, options.out / "litert")
    print_side_by_side(executorch, litert)
    require_right_results(executorch, options.out / "executorch")
    require_right_results(litert, options.out / "litert")


def print_side_by_side(executorch: Report, litert: Report) -> None:
    """A row for each quantity that both reports have."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("")
    for report in (executorch, litert):
        shown.add_column(report.context.engine, justify="right")
    for name in ("ratio", "95 % interval"):
        shown.add_column(name, justify="right")
    for words, pattern, unit in _ROWS:
        name = pattern.format(final=len(executorch.stages) - 1)
        pair = [report.metrics.get(name) for report in (executorch, litert)]
        cells = ["-" if metric is None else f"{metric.median / unit:.3g}" for metric in pair]
        shown.add_row(words, *cells, *_ratio(*pair))
    table_console().print(shown)


def side_by_side(executorch: Report, litert: Report) -> str:
    """The table of a page, with the machine above it and the accuracies below."""
    reports = (executorch, litert)
    heads = ["milliseconds, MB", *map(_engine, reports), "ratio"]
    rows = [
        _page_row(words, [name.format(final=len(executorch.stages) - 1) for name in names], reports)
        for words, names in _PAGE_ROWS
    ]
    machine = machine_of({_engine(each): each for each in reports})
    below = f"\\* {', '.join(_STATES)} starts. {_accuracies(reports)}"
    return f"{machine}\n\n{table(heads, rows)}\n\n{textwrap.fill(below, 100)}\n"


def _page_row(words: str, names: Sequence[str], reports: tuple[Report, Report]) -> list[str]:
    """The quantities of one row, those of a backend in one cell."""
    executorch, litert = (report.metrics for report in reports)
    cells = [
        " / ".join(_shown(name, metrics.get(name)) for name in names)
        for metrics in (executorch, litert)
    ]
    ratios = [_ratio(executorch.get(name), litert.get(name)) for name in names]
    medians = " / ".join(median or "-" for median, _ in ratios)
    return [words, *cells, medians if len(ratios) > 1 else f"{medians} [{ratios[0][1]}]"]


def _engine(report: Report) -> str:
    name, _, version = report.context.engine.partition(" ")
    return f"{_TITLES[name]} {version}"


def _shown(name: str, metric: Metric | None) -> str:
    """A median in the unit of the table's head."""
    if metric is None:
        return "-"
    return digits(metric.median / (1e6 if "bytes" in name else 1.0))


def _accuracies(reports: Sequence[Report]) -> str:
    """Of all stages, once where both backends give the same."""
    said = [
        ", ".join(f"{stage.route} {stage.top1:.2%}" for stage in report.stages)
        for report in reports
    ]
    if len(set(said)) > 1:
        said = [f"{_engine(each)} {words}" for each, words in zip(reports, said, strict=True)]
    images = reports[0].stages[0].images
    return f"Accuracy on {images} images: {'; '.join(dict.fromkeys(said))}."


def _ratio(executorch: Metric | None, litert: Metric | None) -> tuple[str, str]:
    if executorch is None or litert is None:
        return "", ""
    ratio = estimate_of_ratio(litert, executorch)
    return (f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}") if ratio else ("", "")


if __name__ == "__main__":
    main()
