"""Files that a page holds: what can be saved from it wherever it was sent to."""

from __future__ import annotations

import csv
import gzip
import io
from base64 import b64encode
from dataclasses import dataclass

from pipeline.core.formatting import size
from pipeline.report.schema import Report

#: Larger files stay beside the page, which is to be 2 MB at most.
MOST_HELD = 1_000_000


@dataclass(frozen=True, slots=True)
class Download:
    """A link.

    Attributes:
        name: of the file.
        words: what it holds, and its size.
        address: of its gzip file: a URL of the page itself; else of the file beside the page.
        held: whether the page holds it.
    """

    name: str
    words: str
    address: str
    held: bool


def downloads(report: Report) -> list[Download]:
    """Every sample, and a table of all metrics."""
    samples = _held("report.json", "every sample", report.to_json())
    if len(samples.address) > MOST_HELD:
        words = f"{samples.words}: too large for this page, it lies beside it"
        samples = Download(samples.name, words, samples.name, held=False)
    return [samples, _held("metrics.csv", "medians and intervals", _metrics(report))]


def _held(name: str, words: str, text: str) -> Download:
    data = text.encode()
    # No time of making: the same report gives the same page.
    packed = b64encode(gzip.compress(data, mtime=0)).decode()
    address = f"data:application/gzip;base64,{packed}"
    return Download(name, f"{words}, {size(len(data))}", address, held=True)


def _metrics(report: Report) -> str:
    """A line for each metric."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("metric", "unit", "median", "low", "high", "samples"))
    for name, metric in sorted(report.metrics.items()):
        numbers = (metric.median, metric.low, metric.high, len(metric.samples))
        writer.writerow((name, metric.unit, *numbers))
    return out.getvalue()
