"""`python -m pipeline.train`: trains the model of a profile and says how good every route is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pipeline.core.command_line import Argument, Option, command


@command
def train(
    profile: Annotated[Path, Argument(help="Profile, such as profiles/digits-resnet.toml.")],
    cache: Annotated[Path, Option(help="Folder for trained weights.")] = Path("build/cache"),
    logs: Annotated[Path | None, Option(help="Folder for TensorBoard's logs.")] = None,
) -> None:
    """Trains the teacher, the student and the converters of a profile, and scores every route.

    What is in the cache is not trained again, and an interrupted training goes on from its last
    epoch. Several processes do it together: `accelerate launch -m pipeline.train PROFILE`.
    A profile with a `[lowering]` table is trained only if its backends take all of the model.
    `pipeline.build` with the same cache starts from what is trained here, and
    `pipeline.evaluate` reads the checkpoint.
    """
    from contextlib import ExitStack

    from pipeline.core.locks import using_folder, writing_folder
    from pipeline.core.outputs import require_folder
    from pipeline.core.progress import Silent, progress_for_terminal
    from pipeline.core.work import Work
    from pipeline.report.render.route_table import print_routes
    from pipeline.training.processes import describe_processes, joined
    from pipeline.training.training_log import TensorBoardLog
    from pipeline.workflows.load_model import trained_model
    from pipeline.workflows.lowering_targets import preflight_of
    from pipeline.workflows.profile_settings import profile_settings
    from pipeline.workflows.schedule_model import schedule_in_eager
    from pipeline.workflows.training_cache import training_table

    settings = profile_settings(profile)
    training = training_table(settings)
    require_folder(cache, "--cache")
    if logs:
        require_folder(logs, "--logs")
    with joined(training.device) as processes, ExitStack() as locks:
        if not processes.first:
            trained_model(settings, cache, Silent(), processes=processes).follow()
            return
        if logs:
            locks.enter_context(writing_folder(logs, "name another with --logs"))
        training_log = TensorBoardLog(logs) if logs else None
        progress = progress_for_terminal()
        if joint := describe_processes(processes):
            progress.say(joint)
        locks.enter_context(using_folder(cache, "name another with --cache", progress))
        preflight = None
        if "lowering" in settings.model_fields_set:  # it is to be lowered one day
            preflight = preflight_of(settings, settings.lowering.backend, Work(cache, progress))
        model = trained_model(settings, cache, progress, training_log, processes, preflight)
        scheduled = schedule_in_eager(settings, model, training_log=training_log)
        model.done()
    scored = scheduled.evaluated
    print_routes(settings.name, scored, scheduled.shipped)
    for warning in scheduled.warnings(settings):
        progress.say(f"warning: {warning.text}")
    print(f"checkpoint: {scored.checkpoint}")


if __name__ == "__main__":
    train()
