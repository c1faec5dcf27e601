"""`python -m pipeline.inspect`: prints a bundle, and says what is wrong with a damaged one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Option, command


@command
def inspect(
    bundle: Annotated[Path, Argument(help="Bundle folder.")],
    cross_check: Annotated[
        str | None,
        Option(help="tf: have TensorFlow run every .tflite unit, too.", show_default="no"),
    ] = None,
) -> None:
    """Prints what a bundle holds, after checking its schema and the sha256 of every file.

    A damaged bundle ends with exit code 4 and a list of all that is wrong with it.
    """
    from pipeline.bundle.verify import open_bundle
    from pipeline.report.render.bundle_table import print_bundle, print_cross_check
    from pipeline.workflows.cross_check_bundle import cross_check as ask

    opened = open_bundle(bundle)
    manifest = opened.manifest
    print_bundle(manifest)
    print(f"{bundle}: {sum(1 for _ in manifest.files())} files verified")
    if cross_check is not None:
        print_cross_check(ask(opened, cross_check))


if __name__ == "__main__":
    inspect()
