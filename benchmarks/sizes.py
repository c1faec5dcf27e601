"""Bundles of the sizes that people ship: what building and running them takes.

    python -m benchmarks.sizes [--only NAME ...] [--backend executorch|litert] [--rounds N]
    python -m benchmarks.sizes --markdown [docs/performance.md]

Builds what is not there yet into --work (an hour of processor time for all, once), measures every
bundle in turns with its control arms by the product's own campaign, and prints tables and the bars.
Every report is kept with all samples below --out. With --markdown nothing is measured: the tables
are of what was kept, and take their place in a page where one is named. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.size_bars import print_size_bars
from benchmarks.size_bundles import SIZES, SizeBundle, backends_named, built
from benchmarks.size_tables import kept, markdown, put_into_page
from pipeline.core.atomic_files import write_text
from pipeline.core.progress import Progress, progress_for_terminal
from pipeline.harness.campaign import CampaignOptions
from pipeline.report.integrity import require_right_results
from pipeline.settings import BACKENDS
from pipeline.workflows.measure_device import ProfileOptions, measure, write_report


@dataclass(frozen=True, slots=True)
class SmallCampaign(ProfileOptions):
    """As `pipeline.profile`, with fewer inferences, of which large networks do five a second."""

    def amount(self) -> CampaignOptions:
        """How much is measured."""
        return CampaignOptions(
            rounds=self.rounds,
            states=self.states,
            fps=self.fps,
            steady=3,
            hold=8,
            frames=8,
            paced=min(3, self.rounds),
            latency_runs=min(2, self.rounds),
            latency_rounds=3,
            memory_runs=1,
        )


def main() -> None:
    """Builds, measures, keeps, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--backend", choices=BACKENDS)
    parser.add_argument("--rounds", type=int, help="5; of ViT-B/16, 3")
    parser.add_argument("--device", default="local")
    parser.add_argument("--work", type=Path, default=Path("build/sizes"), help="bundles")
    parser.add_argument("--out", type=Path, default=Path("reports/sizes"), help="reports")
    parser.add_argument("--build", action="store_true", help="build, and measure nothing")
    parser.add_argument("--as-built", action="store_true", help="look at no bundle that is there")
    parser.add_argument("--markdown", nargs="?", const="-", metavar="PAGE", help="see above")
    options = parser.parse_args()
    if options.markdown is None:
        progress = progress_for_terminal()
        backends = backends_named(options.backend)
        pairs = [(name, backend) for name in options.only for backend in backends]
        work, again = options.work.resolve(), not options.as_built
        bundles = [built(name, backend, work, again) for name, backend in pairs]
        if options.build:
            return
        for bundle in bundles:
            measure_one(bundle, options, progress)
    found = kept(options.out)
    text = markdown(found)
    if options.markdown not in (None, "-"):
        put_into_page("sizes", Path(options.markdown), text)
        return
    print(text)
    if options.markdown is None:
        print_size_bars(found)


def measure_one(bundle: SizeBundle, options: argparse.Namespace, progress: Progress) -> None:
    """Measures a bundle and keeps the report, with what its build took beside it."""
    rounds = options.rounds or SIZES[bundle.name].rounds
    how = SmallCampaign(device=options.device, rounds=rounds, fps=(30,))
    folder = options.out / f"{bundle.name}-{bundle.backend}"
    begin = time.monotonic()
    report = measure(bundle.folder, how, progress)
    write_report(report, folder)
    write_text(folder / "build.json", json.dumps(asdict(bundle.cost)))
    progress.say(f"{bundle.folder.name}: {time.monotonic() - begin:.0f} s")
    require_right_results(report, folder)


if __name__ == "__main__":
    main()
