"""ExecuTorch and LiteRT side by side: the same model, one interleaved run.

    python -m pipeline.build profiles/digits-resnet.toml --out dist/digits-resnet
    python -m pipeline.build profiles/digits-resnet.toml --backend litert --out dist/digits-litert
    python benchmarks/backends.py [--device local] [--rounds 21]

Prints medians of both, and the median of the ratio LiteRT / ExecuTorch within rounds with its 95 %
interval. Nothing is asserted: a shared machine decides too much. Run it on an idle one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich import box
from rich.table import Table

from pipeline.core.progress import progress_for_terminal
from pipeline.report.integrity import require_right_results
from pipeline.report.ratios import estimate_of_ratio
from pipeline.report.render.terminal import table_console
from pipeline.report.schema import Metric, Report
from pipeline.workflows.measure_device import ProfileOptions, measure_together, write_report

_STATES = ("cold", "cold-cached", "warm")
#: What is shown, the name in the report, and by how much it is divided.
_ROWS = (
    *(
        (f"first answer, {arm}, {state}, ms", f"ttfi_ms.{name}.{state}", 1.0)
        for state in _STATES
        for arm, name in (("progressive", "pwl"), ("teacher alone", "teacher"))
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


def main() -> None:
    """Measures both bundles in turns and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executorch", type=Path, default=Path("dist/digits-resnet"))
    parser.add_argument("--litert", type=Path, default=Path("dist/digits-litert"))
    parser.add_argument("--device", default="local")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--out", type=Path, default=Path("reports/backends"))
    options = parser.parse_args()
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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for report in (executorch, litert):
        table.add_column(report.context.engine, justify="right")
    for name in ("ratio", "95 % interval"):
        table.add_column(name, justify="right")
    for words, pattern, unit in _ROWS:
        name = pattern.format(final=len(executorch.stages) - 1)
        pair = [report.metrics.get(name) for report in (executorch, litert)]
        cells = ["-" if metric is None else f"{metric.median / unit:.3g}" for metric in pair]
        table.add_row(words, *cells, *_ratio(*pair))
    table_console().print(table)


def _ratio(executorch: Metric | None, litert: Metric | None) -> tuple[str, str]:
    if executorch is None or litert is None:
        return "", ""
    ratio = estimate_of_ratio(litert, executorch)
    return (f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}") if ratio else ("", "")


if __name__ == "__main__":
    main()
