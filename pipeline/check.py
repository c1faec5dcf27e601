"""`python -m pipeline.check`: the release gate. Judges a report and ends with a telling status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Exit, Option, command


@command
def check(
    report: Annotated[
        list[Path],
        Argument(help="report.json to judge, several of them, or a devices.json for all in it."),
    ],
    gates: Annotated[Path, Option(help="Gates, such as profiles/gates/release.toml.")],
    baseline: Annotated[
        list[Path] | None,
        Option(
            help="report.json of the last release, of the same model on the same device; one for "
            "each device, or a devices.json."
        ),
    ] = None,
    junit: Annotated[Path | None, Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, Option(help="Write a Markdown summary here.")] = None,
) -> None:
    """Judges reports by gates. All have to pass; what is wrong with one stops none of the others.

    Exit status: 0 all pass; 1 a regression; 2 wrong usage; 3 something could not be judged;
    4 a damaged report, wrong results (NaN, parity, labels), in the baseline too, or a gate with
    `integrity = true` failed; 5 inconclusive. Of several reports, the gravest: 4, 1, 2, 3, 5.
    """
    from pipeline.core.atomic_files import real_path, write_text
    from pipeline.core.errors import UsageError, worst_code
    from pipeline.core.outputs import require_file
    from pipeline.core.toml_file import load_toml
    from pipeline.report.gate_file import GateFile
    from pipeline.report.judgments import judge_all
    from pipeline.report.render.judgment_formats import junit_of, markdown_of, print_judgments

    baselines = baseline or []
    for number, path in enumerate(report):
        if real_path(path) in map(real_path, report[:number]):
            raise UsageError(f"{path} is given twice", "name each report once")
    for flag, target in (("--junit", junit), ("--markdown", markdown)):
        if target:
            require_file(target, flag, reads=(*report, gates, *baselines))
    if junit and markdown and real_path(junit) == real_path(markdown):
        raise UsageError(f"--junit and --markdown are both {junit}", "name two files")
    limits = load_toml(gates, GateFile)
    if baselines and not any(gate.needs_baseline for gate in limits.gate):
        raise UsageError(
            f"{gates}: no gate compares with the baseline {baselines[0]}",
            'leave --baseline out, or add gates with over = "baseline", as in '
            "profiles/gates/release.toml",
        )
    judgments = judge_all(limits, report, baselines)
    if len(judgments) == 1 and judgments[0].error is not None:
        raise judgments[0].error
    print_judgments(judgments)
    judged = [judgment.report for judgment in judgments if judgment.report]
    texts = [warning.text for each in judged for warning in each.warnings]
    for text in dict.fromkeys(texts):  # devices of one model have the same
        print(f"warning: {text}", file=sys.stderr)
    if junit:
        write_text(junit, junit_of(judgments))
    if markdown:
        write_text(markdown, markdown_of(judgments))
    raise Exit(int(worst_code(judgment.code for judgment in judgments)))


if __name__ == "__main__":
    check()
