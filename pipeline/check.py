"""`python -m pipeline.check`: the release gate. Judges a report and ends with a telling status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.command import command


@command
def check(
    report: Annotated[Path, typer.Argument(help="report.json to judge.")],
    gates: Annotated[Path, typer.Option(help="Gates, such as profiles/gates/release.toml.")],
    baseline: Annotated[
        Path | None, typer.Option(help="report.json of the last release on the same device.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a Markdown summary here.")] = None,
) -> None:
    """Judges a report by gates.

    Exit status: 0 all pass; 1 a regression; 2 wrong usage; 3 something could not be judged;
    4 a damaged report, or a gate with `integrity = true` failed (parity); 5 inconclusive.
    """
    from pipeline.files import write_text
    from pipeline.report.document import load_report
    from pipeline.report.gates import GateFile, exit_code, judge
    from pipeline.report.judgement_text import junit_xml, print_judgements
    from pipeline.report.judgement_text import markdown as markdown_text
    from pipeline.section import load_toml

    limits = load_toml(gates, GateFile)
    judged = load_report(report)
    judgements = judge(limits, judged, load_report(baseline) if baseline else None)
    print_judgements(judgements)
    for warning in judged.warnings:
        print(f"warning: {warning.text}", file=sys.stderr)
    if junit:
        write_text(junit, junit_xml(judged, judgements))
    if markdown:
        write_text(markdown, markdown_text(judged, judgements))
    raise typer.Exit(int(exit_code(judgements)))


if __name__ == "__main__":
    check()
