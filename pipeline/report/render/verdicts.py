"""Verdicts for people and for CI: a terminal table, JUnit XML, Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from rich import box
from rich.table import Table
from rich.text import Text

from pipeline.report.gate_file import Gate
from pipeline.report.gates import GateResult, GateVerdict
from pipeline.report.render.tables import describe_device
from pipeline.report.render.terminal import table_console
from pipeline.report.schema import Report
from pipeline.report.statistics import Estimate

_STYLES = {
    GateVerdict.PASS: "green",
    GateVerdict.REGRESSION: "bold red",
    GateVerdict.INCONCLUSIVE: "yellow",
    GateVerdict.ERROR: "magenta",
    GateVerdict.SKIPPED: "cyan",
}
_MARKS = {
    GateVerdict.PASS: "✅",
    GateVerdict.REGRESSION: "❌",
    GateVerdict.INCONCLUSIVE: "❔",
    GateVerdict.ERROR: "⚠️",
    GateVerdict.SKIPPED: "⏭️",
}


def print_gate_results(results: Sequence[GateResult]) -> None:
    """Prints a table of all verdicts on stdout, never wider than 100 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("gate", overflow="fold")
    table.add_column("verdict")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("limit, or what is wrong", overflow="fold")
    for result in results:
        table.add_row(
            _title(result),
            Text(result.verdict, style=_STYLES[result.verdict]),
            _value(result.value),
            result.why,
        )
    console = table_console()
    console.print(table)
    console.print(_summary(results))


def junit_suite(report: Report, results: Sequence[GateResult]) -> ElementTree.Element:
    """A suite: a regression is a failure, an error an error, all that is undecided skipped."""
    counts = Counter(result.verdict for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name=f"{report.bundle.name} on {report.context.device.serial}",
        tests=str(len(results)),
        failures=str(counts[GateVerdict.REGRESSION]),
        errors=str(counts[GateVerdict.ERROR]),
        skipped=str(counts[GateVerdict.INCONCLUSIVE] + counts[GateVerdict.SKIPPED]),
        timestamp=report.context.created,
    )
    kinds = {
        GateVerdict.REGRESSION: "failure",
        GateVerdict.ERROR: "error",
        GateVerdict.INCONCLUSIVE: "skipped",
        GateVerdict.SKIPPED: "skipped",
    }
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"pwl.{report.bundle.name}", name=_title(result)
        )
        message = f"{_value(result.value)}; {result.why}".removeprefix("; ")
        if kind := kinds.get(result.verdict):
            ElementTree.SubElement(case, kind, message=message)
        else:
            ElementTree.SubElement(case, "system-out").text = message
    if report.warnings:
        text = "\n".join(f"warning: {warning.text}" for warning in report.warnings)
        ElementTree.SubElement(suite, "system-err").text = text
    return suite


def junit_text(root: ElementTree.Element) -> str:
    """The text of a file of JUnit XML."""
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def markdown(report: Report, results: Sequence[GateResult]) -> str:
    """A summary for a pull request."""
    device = report.context.device
    warnings = [f"⚠️ {warning.text}\n" for warning in report.warnings]
    lines = [
        f"## {report.bundle.name} `{report.bundle.id[:12]}`: {_summary(results)}",
        "",
        f"{device.serial}: {describe_device(device)}; {report.context.created}",
        "",
        *warnings,
        "| gate | verdict | value | limit, or what is wrong |",
        "|---|---|---:|---|",
    ]
    for result in results:
        cells = [
            _title(result),
            f"{_MARKS[result.verdict]} {result.verdict}",
            _value(result.value),
            result.why,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _title(result: GateResult) -> str:
    gate: Gate = result.gate
    return f"{gate.name} ({result.metric})" if "*" in gate.metric else gate.name


def _value(value: Estimate | None) -> str:
    if value is None:
        return ""
    if value.low == value.high:
        return f"{value.median:.6g}"
    return f"{value.median:.4g} [{value.low:.4g}, {value.high:.4g}]"


def _summary(results: Sequence[GateResult]) -> str:
    counts = Counter(result.verdict for result in results)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in GateVerdict if counts[verdict])
