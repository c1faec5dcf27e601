"""`python -m pipeline.inspect`: what a bundle holds, or where a network of yours can be cut."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Option, command


@command
def inspect(
    source: Annotated[
        str,
        Argument(
            help="Bundle folder, python:MODULE:FUNCTION, transformers: or timm:FOLDER, profile."
        ),
    ],
    cross_check: Annotated[
        str | None,
        Option(help="tf: have TensorFlow run every .tflite unit, too.", show_default="no"),
    ] = None,
    image_shape: Annotated[
        str | None,
        Option(help="CHANNELS,HEIGHT,WIDTH, for a function that gives a network alone."),
    ] = None,
    blocks: Annotated[
        list[int] | None, Option(help="Show where auto:N cuts. May be repeated.")
    ] = None,
    cache: Annotated[
        Path, Option(help='Where a build keeps what it measured for split = "auto:N:load_time".')
    ] = Path("build/cache"),
) -> None:
    """Prints what a bundle holds, after checking its schema and the sha256 of every file.

    A damaged bundle ends with exit code 4 and a list of all that is wrong with it. Of a source of
    networks: where its networks can be cut, with the shapes, parameters and multiply-adds between.
    """
    from pipeline.core.errors import UsageError

    if source.startswith(("python:", "timm:", "transformers:")) or source.endswith(".toml"):
        if cross_check is not None:
            raise UsageError(
                f"{source} is no bundle: --cross-check has nothing to run", "leave it out"
            )
        _print_networks(source, image_shape, blocks or [], cache)
        return
    if image_shape is not None or blocks:
        raise UsageError(
            f"{source}: --image-shape and --blocks are for networks, and this is a bundle's place",
            "leave them out, or name python:MODULE:FUNCTION, transformers:FOLDER or timm:FOLDER",
        )
    _print_bundle(Path(source), cross_check)


def _print_bundle(bundle: Path, cross_check: str | None) -> None:
    from pipeline.bundle.verify import open_bundle
    from pipeline.report.render.bundle_table import print_bundle, print_cross_check
    from pipeline.workflows.cross_check_bundle import cross_check as ask

    opened = open_bundle(bundle)
    manifest = opened.manifest
    print_bundle(manifest)
    print(f"{bundle}: {sum(1 for _ in manifest.files())} files verified")
    if cross_check is not None:
        print_cross_check(ask(opened, cross_check))


def _print_networks(source: str, image_shape: str | None, blocks: list[int], cache: Path) -> None:
    from pipeline.core.progress import progress_for_terminal
    from pipeline.core.work import Work
    from pipeline.report.render.cut_table import print_cuts
    from pipeline.workflows.inspect_networks import inspect_networks

    shape = None if image_shape is None else _shape(image_shape)
    work = Work(cache, progress_for_terminal())
    for network in inspect_networks(source, shape, blocks or [4], work):
        title = f"the {network.name} ({network.kind})"
        title += ", in blocks already" if network.given else ", where one tensor flows"
        print_cuts(title, network.cuts, network.splits, network.load_ms)


def _shape(text: str) -> tuple[int, ...]:
    """Channels, height, width, or the sizes of another tensor."""
    from pipeline.core.errors import UsageError

    numbers = [int(part) if part.strip().isdigit() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise UsageError(
            f"--image-shape {text}",
            "write CHANNELS,HEIGHT,WIDTH, such as 3,224,224, or the sizes of another tensor",
        )
    return tuple(numbers)


if __name__ == "__main__":
    inspect()
