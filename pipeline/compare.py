"""`python -m pipeline.compare`: two reports side by side, with intervals, as gates see them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Option, command


@command
def compare(
    a: Annotated[Path, Argument(help="report.json to compare with, the earlier one.")],
    b: Annotated[Path, Argument(help="report.json of another run.")],
    metric: Annotated[
        list[str] | None,
        Option(
            help="Only metrics of this name, such as 'ttfi_ms.*' (may be repeated).",
            show_default="all",
        ),
    ] = None,
    json: Annotated[Path | None, Option(help="Write the comparison as JSON here.")] = None,
) -> None:
    """Prints what differs between two reports, and every metric of both: median, interval, ratio.

    A metric is better or worse in B by the rule of a gate over a baseline; where the two are not of
    the same model, measured the same way, it is only higher or lower. To have a release fail, give
    `check` a baseline.

    Exit status: 0 compared, whatever came out; 2 wrong usage; 4 a damaged report, or wrong results
    (NaN, parity, labels) in one of the two, which are shown nevertheless.
    """
    from pipeline.core.atomic_files import real_path, sha256_of, write_text
    from pipeline.core.errors import IntegrityError, UsageError
    from pipeline.core.outputs import require_file
    from pipeline.report.comparison import compare_reports
    from pipeline.report.devices import DEVICES_FILE
    from pipeline.report.render.comparison_table import print_comparison
    from pipeline.report.report_file import load_consistent_report

    if real_path(a) == real_path(b):
        raise UsageError(f"{a} is given twice", "name the reports of two runs")
    for path in (a, b):
        if path.name == DEVICES_FILE:
            raise UsageError(
                f"{path} is about several devices", "name the report.json of one of them"
            )
    if json:
        require_file(json, "--json", reads=(a, b))
    reports = [load_consistent_report(path) for path in (a, b)]
    hashes = (sha256_of(a), sha256_of(b))
    comparison = compare_reports(reports[0], reports[1], hashes, metric or ("*",))
    print_comparison(comparison, (str(a), str(b)))
    if json:
        write_text(json, comparison.to_json())
    for path, side in ((a, comparison.a), (b, comparison.b)):
        if side.wrong:
            raise IntegrityError(
                f"{path}: its results are wrong: {'; '.join(side.wrong)}",
                "do not ship it; its report.html shows every stage",
            )


if __name__ == "__main__":
    compare()
