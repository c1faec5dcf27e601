"""`python -m pipeline.build`: trains or ingests, lowers, and packs an Android asset bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pipeline.core.command_line import Argument, Option, command
from pipeline.core.errors import UsageError

if TYPE_CHECKING:  # pydantic is told with the other packages, where it is missing
    from pipeline.core.cluster import Cluster
    from pipeline.settings import BackendName


@command
def build(
    profile: Annotated[Path, Argument(help="Profile, such as profiles/digits-resnet.toml.")],
    out: Annotated[Path | None, Option(help="Bundle folder.", show_default="dist/NAME")] = None,
    cache: Annotated[Path, Option(help="Folder for trained weights and lowered programs.")] = Path(
        "build/cache"
    ),
    backend: Annotated[
        str | None, Option(help="executorch or litert.", show_default="the profile's")
    ] = None,
    android: Annotated[
        Path | None, Option(help="Folder for what an Android app takes of it: asset packs.")
    ] = None,
    jobs: Annotated[
        int | None, Option(help="Worker processes.", show_default="one per processor", min=1)
    ] = None,
    cluster: Annotated[
        str | None,
        Option(
            help="Lower on a cluster's workers: dask://HOST:PORT or ray://HOST:PORT.",
            show_default="this machine",
        ),
    ] = None,
) -> None:
    """Builds the bundle that a profile describes, and its control arms beside it.

    Before a model of one's own is trained, all of it is lowered untrained, so that everything that
    a backend does not take is told at once. What has not changed since an earlier build is not made
    again. An interrupted training goes on
    from its last epoch. A profile that names several backends gives a bundle of each, from one
    training run, in OUT-BACKEND. With --android, programs and loading plan are also written as
    asset packs for Gradle, as the profile's [android] says.
    """
    from pipeline.bundle.layout import control_folder, require_build_output
    from pipeline.core.outputs import require_folder
    from pipeline.core.progress import progress_for_terminal
    from pipeline.core.work import Work
    from pipeline.settings import backend_named, for_backends
    from pipeline.workflows.build_bundle import assemble
    from pipeline.workflows.model_source import ModelSource
    from pipeline.workflows.profile_settings import profile_settings

    workers = _workers(jobs, cluster)
    settings = profile_settings(profile)
    names = settings.lowering.backend if backend is None else (backend_named(backend),)
    whole = out or Path("dist") / settings.name
    targets = _folders(whole, names, "--out")
    trees = _folders(android, names, "--android") if android else {}
    require_folder(cache, "--cache")
    for target in targets.values():
        require_build_output(target, keeps=(cache, profile, *trees.values()))
    for tree in trees.values():
        from pipeline.bundle.android_assets import require_android_output

        require_android_output(tree, keeps=(cache, profile, *targets.values()))
    progress = progress_for_terminal()
    work = Work(cache, progress, workers)
    source = ModelSource(for_backends(settings, names), progress, work)
    for name, target in targets.items():
        one = for_backends(settings, (name,))
        made = assemble(one, target, cache, progress, jobs=workers, source=source)
        if made.rebuilt:
            from pipeline.report.render.bundle_table import print_bundle

            print_bundle(made.bundle.manifest)
        print(
            f"{target} is {'built' if made.rebuilt else 'up to date'}; "
            f"its control arms are in {control_folder(target)}"
        )
        if not made.rebuilt:
            print(f"python -m pipeline.inspect {target} shows what it holds")
        if name in trees:
            from pipeline.bundle.android_assets import write_android

            packs = write_android(made.bundle, settings.android, trees[name])
            print(f"{trees[name]}: {', '.join(map(str, packs))}; see its README.md")


def _workers(jobs: int | None, cluster: str | None) -> int | Cluster | None:
    """Who lowers: so many processes of this machine, or those of a cluster."""
    if cluster is None:
        return jobs
    if jobs is not None:
        raise UsageError(
            "--jobs and --cluster are both given",
            "leave --jobs out: a cluster has as many workers as were started",
        )
    from pipeline.core.cluster import Cluster

    return Cluster.named(cluster)


def _folders(whole: Path, names: Sequence[BackendName], flag: str) -> dict[BackendName, Path]:
    """Where what is of each backend goes: OUT, or OUT-BACKEND beside it if there are several."""
    if len(names) == 1:
        return {names[0]: whole}
    from pipeline.core.atomic_files import real_path

    target = real_path(whole)
    if real_path(Path()).is_relative_to(target):
        raise UsageError(
            f"{whole}: the current folder lies there, and what is of several backends would be put "
            "beside it",
            f"name another with {flag}",
        )
    return {name: target.with_name(f"{target.name}-{name}") for name in names}


if __name__ == "__main__":
    build()
