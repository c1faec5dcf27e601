"""Several judged reports for people and for CI: terminal, JUnit XML, Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from rich import box
from rich.table import Table
from rich.text import Text

from pipeline.core.errors import ExitCode
from pipeline.report.judgments import Judgment
from pipeline.report.render.terminal import table_console
from pipeline.report.render.verdicts import junit_suite, junit_text, markdown, print_gate_results

_WORDS = {
    ExitCode.OK: "pass",
    ExitCode.REGRESSION: "regression",
    ExitCode.USAGE: "wrong usage",
    ExitCode.DEVICE: "cannot be judged",
    ExitCode.INTEGRITY: "wrong results",
    ExitCode.INCONCLUSIVE: "inconclusive",
}


def print_judgments(judgments: Sequence[Judgment]) -> None:
    """Prints every table on stdout and, of several reports, which of them failed."""
    several = len(judgments) > 1
    console = table_console()
    for judgment in judgments:
        if several:
            console.print(Text(f"{judgment.title}\n{judgment.name}"), style="bold")
        if judgment.report is None:
            console.print(Text(f"error: {judgment.error}\n"))
        else:
            print_gate_results(judgment.results)
    if several:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("report", overflow="fold")
        table.add_column("verdict", no_wrap=True)
        for judgment in judgments:
            table.add_row(judgment.name, _WORDS[judgment.code])
        console.print(table)
        console.print(_summary(judgments))


def junit_of(judgments: Sequence[Judgment]) -> str:
    """JUnit XML: a suite for each report, and an error for one that there is not."""
    suites = [_suite(judgment) for judgment in judgments]
    if len(suites) == 1:
        return junit_text(suites[0])
    root = ElementTree.Element("testsuites")
    root.extend(suites)
    return junit_text(root)


def markdown_of(judgments: Sequence[Judgment]) -> str:
    """A summary for a pull request, a section for each report."""
    parts = [
        f"## {judgment.title}: {_WORDS[judgment.code]}\n\n{judgment.error}\n"
        if judgment.report is None
        else markdown(judgment.report, judgment.results)
        for judgment in judgments
    ]
    if len(parts) > 1:
        parts.insert(0, f"# {_summary(judgments)}\n")
    return "\n".join(parts)


def _suite(judgment: Judgment) -> ElementTree.Element:
    if judgment.report is not None:
        return junit_suite(judgment.report, judgment.results)
    counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0"}
    suite = ElementTree.Element("testsuite", name=judgment.title, attrib=counts)
    case = ElementTree.SubElement(suite, "testcase", classname="pwl", name="the report")
    ElementTree.SubElement(case, "error", message=str(judgment.error))
    return suite


def _summary(judgments: Sequence[Judgment]) -> str:
    passed = sum(judgment.code is ExitCode.OK for judgment in judgments)
    return f"{passed} of {len(judgments)} reports pass"
