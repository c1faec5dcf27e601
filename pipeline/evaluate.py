"""`python -m pipeline.evaluate`: what a trained model says, in eager PyTorch, along every route."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pipeline.core.command_line import Argument, Option, command

if TYPE_CHECKING:
    from pipeline.core.progress import Progress
    from pipeline.model.opened import OpenedModel
    from pipeline.model.route import Route


@command
def evaluate(
    source: Annotated[
        str,
        Argument(help="Profile (.toml), checkpoint that pipeline.train wrote, or KIND:PLACE."),
    ],
    inputs: Annotated[
        Path | None,
        Option(help=".npy of float32 NCHW normalized images, or of uint8 NHWC images."),
    ] = None,
    logits: Annotated[Path | None, Option(help="Write their logits here (.npz).")] = None,
    route: Annotated[
        list[str] | None, Option(help="A further route, such as TTSS. May be repeated.")
    ] = None,
    cache: Annotated[Path, Option(help="Folder for trained weights.")] = Path("build/cache"),
) -> None:
    """Prints the accuracy of every route of a profile, and writes logits for images of your own.

    The routes are those of the order that ships, or that a checkpoint was trained for (of a source
    SSSS, TSSS, ... TTTT), and every --route. The `joint` recipe trains for that order only. A
    profile that is not trained yet is trained first.
    """
    from contextlib import ExitStack

    from pipeline.core.errors import UsageError
    from pipeline.core.locks import replacing_place
    from pipeline.core.outputs import require_folder
    from pipeline.core.progress import progress_for_terminal
    from pipeline.evaluation.logits import open_array, require_logits_file, write_logits
    from pipeline.model.route import Route, routes_with
    from pipeline.workflows.load_model import open_model

    others = [Route.parse(text) for text in route or ()]
    for other in others:
        if other != other.plain:
            raise UsageError(
                f"--route {other}: eager PyTorch computes in float32",
                f"write {other.plain}, which is the same to it",
            )
    if (inputs is None) != (logits is None):
        raise UsageError("--inputs and --logits belong together", "give both or neither")
    if inputs is not None and logits is not None:
        require_logits_file(logits, inputs)
        if source.endswith(".toml"):  # training it may take hours
            open_array(inputs)
    require_folder(cache, "--cache")
    progress = progress_for_terminal()
    with ExitStack() as locks:
        if logits is not None:
            locks.enter_context(replacing_place(logits, "name another with --logits"))
        if source.endswith(".toml"):
            opened = _scored(Path(source), cache, others, progress)
        elif inputs is None:
            raise UsageError(
                f"{source}: there are no images to evaluate",
                "give --inputs and --logits, or name the profile (.toml) instead",
            )
        else:
            opened = open_model(source, progress)
        if inputs is not None and logits is not None:
            routes = routes_with(opened.routes, others)
            print(write_logits(opened.model, opened.spec, inputs, routes, logits, progress))
            print(f"{logits}: logits of {' '.join(map(str, routes))}")


def _scored(profile: Path, cache: Path, others: Sequence[Route], progress: Progress) -> OpenedModel:
    """The model of a profile, of which the accuracy of every route has been printed."""
    from pipeline.core.locks import using_folder
    from pipeline.model.opened import OpenedModel
    from pipeline.report.render.route_table import print_routes
    from pipeline.workflows.profile_settings import profile_settings
    from pipeline.workflows.schedule_model import scheduled_model

    settings = profile_settings(profile)
    with using_folder(cache, "name another with --cache", progress):
        scheduled = scheduled_model(settings, cache, progress, others)
    scored, data = scheduled.evaluated, scheduled.evaluated.dataset
    print_routes(settings.name, scored, scheduled.shipped)
    for warning in scheduled.warnings(settings):
        progress.say(f"warning: {warning.text}")
    return OpenedModel(scored.model, data.spec, len(data.names), scored.routes, data.names)


if __name__ == "__main__":
    evaluate()
