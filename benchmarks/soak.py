"""Thousands of climbs up and back on the real engines, with failures injected at random.

    python -m benchmarks.soak [BUNDLE ...] [--climbs 10000] [--caches]

Without a bundle, those of soak.toml are built, for both engines and so small that ten thousand
climbs take minutes. With the demo's teacher they take half an hour, spent on packing its weights.

While one thread infers all the time, loads and inferences fail in every way that an engine can fail
in, programs on disk are replaced by damaged ones, loading is cancelled, models and engines are made
anew. Right is: no wrong answer, nothing hangs, and memory, descriptors and threads at the end are
what they were at the beginning. Ends with 1 otherwise. The samples and a plot are kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.table import Table

from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.core.atomic_files import write_text
from pipeline.core.progress import Progress, progress_for_terminal
from pipeline.report.render.terminal import table_console
from pipeline.settings import for_backends, load_settings
from pipeline.toolchain.cmake import tool
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.host import configure_command
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.model_source import ModelSource

Sample = dict[str, int]

#: By how much medians may differ between the second fifth of a run and the last: what is allocated,
#: and what is resident, which pages that malloc holds in part let come and go. After loading was
#: cancelled, a sample may meet the loading thread with a file open: two of a hundred do.
_GROWTH = {"descriptors": 1.0, "threads": 1.0, "allocated_kb": 1.01, "rss_kb": 1.25}


def main() -> None:
    """Soaks every bundle, prints the table, and says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--climbs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--caches", action="store_true", help="with XNNPACK's weight caches")
    parser.add_argument("--out", type=Path, default=Path("reports/soak"))
    options = parser.parse_args()
    progress = progress_for_terminal()
    program = build(Path("build/harness/soak"))
    found: dict[str, list[Sample]] = {}
    wrong: list[str] = []
    for bundle in [open_bundle(place) for place in options.bundles] or built(progress):
        name = bundle.manifest.backend.name
        found[name], said = soak(program, bundle, options, progress)
        wrong += [f"{name}: {fault}" for fault in [*said, *faults_of(found[name])]]
        lines = "".join(json.dumps(sample) + "\n" for sample in found[name])
        write_text(options.out / f"{name}.jsonl", lines)
    print_table(found)
    plot(found, options.out / "soak.svg")
    print(f"{options.out}: every sample, soak.svg")
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


def built(progress: Progress) -> list[Bundle]:
    """The bundles of soak.toml, from one training run."""
    settings = load_settings(Path(__file__).with_suffix(".toml"))
    source = ModelSource(settings, progress)
    return [
        assemble(
            *(for_backends(settings, (name,)), Path(f"build/soak-{name}"), Path("build/cache")),
            progress,
            source=source,
        ).bundle
        for name in settings.lowering.backend
    ]


def build(folder: Path) -> Path:
    """The program, compiled in `folder`."""
    configure = configure_command(folder, "-DPWL_SOAK=ON")
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    make = [tool("cmake"), "--build", str(folder), "--target", "pwl_soak"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    return folder.resolve() / "pwl_soak"


def soak(
    program: Path, bundle: Bundle, options: argparse.Namespace, progress: Progress
) -> tuple[list[Sample], list[str]]:
    """The samples of one run on a copy of a bundle, and what it ended for, if not as it should."""
    name = bundle.manifest.backend.name
    with tempfile.TemporaryDirectory(prefix="pwl-soak-") as temporary:
        folder = Path(temporary)
        shutil.copytree(bundle.root, folder / "bundle")
        (folder / "caches").mkdir()
        command = [
            *(str(program), str(folder / "bundle"), str(Engines.installed().opened["litert"])),
            str(folder / "caches") if options.caches else "-",
            *(str(options.climbs), str(options.seed)),
        ]
        samples: list[Sample] = []
        with (
            tempfile.TemporaryFile("w+") as errors,
            progress.task(f"soak {name}", total=options.climbs) as task,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            for line in process.stdout or ():
                samples.append(json.loads(line))
                climbs = samples[-1]["climbs"] - (samples[-2]["climbs"] if samples[1:] else 0)
                task.advance(climbs, f"{samples[-1]['rss_kb'] / 1024:.1f} MB")
            process.wait()
            errors.seek(0)
            said = errors.read().strip().splitlines()
    if process.returncode:
        return samples, [f"ended with {process.returncode}: {said[-1] if said else 'nothing said'}"]
    return samples, []


def faults_of(samples: Sequence[Sample]) -> list[str]:
    """What grew between the second fifth of a run and its last."""
    fifth = len(samples) // 5
    if not fifth:
        return ["too short a run to judge"]
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    found = []
    for key, growth in _GROWTH.items():
        before, after = (median(sample[key] for sample in some) for some in (early, late))
        if after > growth * before:
            found.append(f"{key} grew from {before:.0f} to {after:.0f}")
    return found


def print_table(found: dict[str, list[Sample]]) -> None:
    """What was done, and what the process held at the beginning and at the end."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")
    rows = {
        "climbs up and back": "climbs",
        "inferences": "inferences",
        "of these answered by an error": "refused",
        "loads that were made to fail": "failed_loads",
        "inferences that were made to fail": "failed_runs",
        "programs that were damaged on disk": "damaged",
    }
    for words, key in rows.items():
        last = [f"{samples[-1][key]:,}" if samples else "-" for samples in found.values()]
        table.add_row(words, *last)
    for words, key, unit in (
        ("allocated, MB: second fifth of the run / last", "allocated_kb", 1024.0),
        ("resident memory, MB", "rss_kb", 1024.0),
        ("descriptors", "descriptors", 1.0),
        ("threads", "threads", 1.0),
    ):
        table.add_row(words, *(_ends(samples, key, unit) for samples in found.values()))
    table_console().print(table)


def _ends(samples: Sequence[Sample], key: str, unit: float) -> str:
    fifth = len(samples) // 5
    if not fifth:
        return "-"
    some = samples[fifth : 2 * fifth], samples[-fifth:]
    before, after = (median(sample[key] for sample in part) / unit for part in some)
    return f"{before:.4g} / {after:.4g}"


def plot(found: dict[str, list[Sample]], path: Path) -> None:
    """Memory over the climbs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    axes: Any = figure.subplots()
    for name, samples in found.items():
        climbs = [sample["climbs"] for sample in samples]
        for key, words in (("rss_kb", "resident"), ("allocated_kb", "allocated")):
            memory = [sample[key] / 1024 for sample in samples]
            axes.plot(climbs, memory, label=f"{name}, {words}")
    axes.set(xlabel="climbs up and back", ylabel="memory at stage 0, MB", ylim=(0, None))
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    main()
