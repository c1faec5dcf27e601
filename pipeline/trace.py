"""`python -m pipeline.trace`: a climb of a report as a trace that Perfetto opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Option, command


@command
def trace(
    report: Annotated[Path, Argument(help="report.json whose runs are looked at.")],
    run: Annotated[
        str | None,
        Option(
            help="A start state (cold, warm, cold-cached): a run at full speed; paced: one that "
            "stays at each stage for a while; 30fps, 30fps-paced: the same while frames come.",
            show_default="the first state that was measured",
        ),
    ] = None,
    number: Annotated[
        int | None,
        Option(
            "--round",
            help="Which round, from 0.",
            show_default="that which reached the last stage in the median time",
            min=0,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(help="File to write.", show_default="RUN-ROUND.perfetto-trace beside the report"),
    ] = None,
) -> None:
    """Writes one climb as a trace: loads, swaps, inferences by thread, accuracy and memory.

    Nothing is measured: a report holds every run. Open the file at https://ui.perfetto.dev.
    """
    from pipeline.core.atomic_files import replacing
    from pipeline.core.formatting import counted
    from pipeline.core.outputs import require_file
    from pipeline.report.climb import choose_climb
    from pipeline.report.render.perfetto import trace_of
    from pipeline.report.report_file import load_report

    read = load_report(report)
    climb = choose_climb(read, run, number)
    target = out or report.parent / f"{climb.run}-{climb.round}.perfetto-trace"
    require_file(target, "--out", reads=(report,))
    title = f"{read.bundle.name} on {read.context.device.model}, {climb.run}, round {climb.round}"
    data = trace_of(climb, title)
    with replacing(target) as temporary:
        temporary.write_bytes(data)
    stages = counted(len(climb.sample.loads), "stage")
    inferences = counted(len(climb.sample.inferences.begin_ns), "inference")
    print(f"{target}: {title}, {stages}, {inferences}\nopen it at https://ui.perfetto.dev")


if __name__ == "__main__":
    trace()
