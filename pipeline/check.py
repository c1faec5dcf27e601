"""`python -m pipeline.check`: the release gate. Judges a report and ends with a telling status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Exit, Option, command


@command
def check(
    report: Annotated[Path, Argument(help="report.json to judge.")],
    gates: Annotated[Path, Option(help="Gates, such as profiles/gates/release.toml.")],
    baseline: Annotated[
        Path | None,
        Option(help="report.json of the last release, of the same model on the same device."),
    ] = None,
    junit: Annotated[Path | None, Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, Option(help="Write a Markdown summary here.")] = None,
) -> None:
    """Judges a report by gates.

    Exit status: 0 all pass; 1 a regression; 2 wrong usage; 3 something could not be judged;
    4 a damaged report, wrong results (NaN, parity, labels), in the baseline too, or a gate with
    `integrity = true` failed; 5 inconclusive.
    """
    from pipeline.core.atomic_files import real_path, write_text
    from pipeline.core.errors import UsageError
    from pipeline.core.outputs import require_file
    from pipeline.core.toml_file import load_toml
    from pipeline.report.gates import GateFile, exit_code, judge
    from pipeline.report.render.verdicts import junit_xml, print_gate_results
    from pipeline.report.render.verdicts import markdown as markdown_text
    from pipeline.report.schema import load_report_to_judge

    inputs = tuple(path for path in (report, gates, baseline) if path)
    for flag, path in (("--junit", junit), ("--markdown", markdown)):
        if path:
            require_file(path, flag, reads=inputs)
    if junit and markdown and real_path(junit) == real_path(markdown):
        raise UsageError(f"--junit and --markdown are both {junit}", "name two files")
    limits = load_toml(gates, GateFile)
    if baseline and not any(gate.needs_baseline for gate in limits.gate):
        raise UsageError(
            f"{gates}: no gate compares with the baseline {baseline}",
            'leave --baseline out, or add gates with over = "baseline", as in '
            "profiles/gates/release.toml",
        )
    judged = load_report_to_judge(report)
    results = judge(limits, judged, load_report_to_judge(baseline) if baseline else None)
    print_gate_results(results)
    for warning in judged.warnings:
        print(f"warning: {warning.text}", file=sys.stderr)
    if junit:
        write_text(junit, junit_xml(judged, results))
    if markdown:
        write_text(markdown, markdown_text(judged, results))
    raise Exit(int(exit_code(results)))


if __name__ == "__main__":
    check()
