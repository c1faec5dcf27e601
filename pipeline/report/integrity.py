"""Whether the results of a report are right: the one rule that profile, page, table and gates ask.

A report is wrong, however fast, when

- logits hold NaN or infinity, of a golden input, an evaluation image or a measured start;
- logits on the golden inputs deviate from eager PyTorch by more than the manifest's tolerance, or,
  where programs are quantized, are not as many decibels above that difference as it asks for;
- a measured start answers otherwise than the same program did when its parity was taken;
- more images are labeled otherwise than on the host than ties between two labels can explain;
- embeddings hold NaN or infinity, or their mean cosine deviates from the host's by more than the
  manifest's tolerance, or as many single ones do; where programs are quantized, by more than these
  themselves do from eager PyTorch on the host.

Labels: on the host, eager PyTorch labels, or quantized programs do themselves. A label may change
only where the two largest logits lie within twice the tolerance of each other. How many images lie
so close depends on the model; a hundred times the tolerance, as a share of all images, is far above
what models show (1 % for the usual 1e-4), and one image is always allowed. It is never more than a
tenth, and never all. Another processor may round int8 otherwise: quantized programs may differ from
themselves on the host as often as these do from eager PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import IntegrityError
from pipeline.evaluation.parity import ParityLimit
from pipeline.harness.samples import NO_LABEL, TtfiSample, is_finite
from pipeline.report.arms import program_of

if TYPE_CHECKING:
    from pipeline.report.schema import ParityResult, Report

_SHARE_BY_TOLERANCE = 100.0
_LARGEST_SHARE = 0.1
_OTHER_COSINE = "have another cosine to the teacher's embedding than"


def over_limit(result: ParityResult) -> float | None:
    """How large a deviation is, as a multiple of the largest that may be.

    None stands for NaN or infinity.
    """
    if result.max_rel is None:
        return None
    limit = ParityLimit(result.tolerance, result.least_sqnr_db)
    if result.least_sqnr_db is not None and result.sqnr_db is None:
        return None
    return limit.multiple(result.max_rel, result.sqnr_db or 0.0)


def within_limit(result: ParityResult) -> bool:
    """Whether logits are right. NaN and infinity never are."""
    over = over_limit(result)
    return over is not None and over <= 1


def differing_allowed(images: int, tolerance: float, host_agreement: float | None = None) -> int:
    """How many of so many images, or pixels, a device may label otherwise than the host."""
    share = _SHARE_BY_TOLERANCE * tolerance
    if host_agreement is not None:
        share = max(share, 1 - host_agreement)
    return max(1, int(images * min(_LARGEST_SHARE, share) + 1e-9))


def mean_cosine_allowed(tolerance: float, host_agreement: float | None = None) -> float:
    """How far the mean cosine of embeddings may be from the host's.

    Args:
        tolerance: the manifest's.
        host_agreement: of quantized programs: the mean cosine of their embeddings on the host to
            eager PyTorch's.
    """
    return tolerance if host_agreement is None else max(tolerance, 1 - host_agreement)


def cosine_allowed(tolerance: float, host_agreement: float | None = None) -> float:
    """How far the cosine of a single embedding may be; arguments as of `mean_cosine_allowed`.

    A vector that turns by an angle changes its cosine to any other by no more than that angle: here
    the one by which quantization turns embeddings.
    """
    if host_agreement is None:
        return tolerance
    return max(tolerance, math.acos(min(1.0, max(-1.0, host_agreement))))


def parity_of(report: Report, name: str) -> ParityResult | None:
    """The parity of a stage, such as ``stage-0``, or of a control arm."""
    return next((result for result in report.parity if result.name == name), None)


def parity_text(result: ParityResult | None) -> str:
    """The largest deviation in a cell of a table, marked where it is too large."""
    if result is None:
        return "missing"
    if result.max_rel is None:
        return "NaN FAIL"
    mark = "" if within_limit(result) else " FAIL"
    return f"{deviation_text(result)}{mark}"


def deviation_text(result: ParityResult) -> str:
    """What a deviation is judged by: a relative error, or decibels where programs are quantized."""
    if result.least_sqnr_db is None or result.sqnr_db is None:
        return f"{result.max_rel:.1e}"
    return f"{result.sqnr_db:.1f} dB"


def wrong_results(report: Report) -> list[str]:
    """Everything that is wrong with the results, in words, whatever the report's own verdict says.

    Empty for a report that can be judged.
    """
    return [*_parity(report), *_unlabeled(report), *_differing(report), *_starts(report)]


def require_right_results(report: Report, folder: Path) -> None:
    """Refuses a report, already written, whose results are wrong.

    Args:
        report: as it was composed.
        folder: where it was written.

    Raises:
        IntegrityError: names everything that is wrong.
    """
    if report.validity.verdict == "invalid":
        # Its reasons also tell what speaks against the timings.
        wrong = wrong_results(report) or [str(reason) for reason in report.validity.reasons]
        lines = "\n  ".join(["wrong results:", *wrong])
        device = report.context.device.serial
        raise IntegrityError(
            f"{report.bundle.name} {report.bundle.id[:12]} is not right on {device}: {lines}",
            f"do not ship it; {folder}/report.html shows every stage. Measure it with --device "
            "local too: if it is right there, this device's library or kernels are at fault; if "
            "not, build it again",
        )


def _parity(report: Report) -> Iterator[str]:
    for result in report.parity:
        if result.max_rel is None:
            yield f"{result.name}: logits of golden inputs hold NaN or infinity"
        elif within_limit(result):
            continue
        elif result.least_sqnr_db is not None:
            yield (
                f"{result.name} is {result.sqnr_db:.1f} dB above its difference from eager PyTorch "
                f"(at least: {result.least_sqnr_db:g})"
            )
        else:
            yield (
                f"{result.name} deviates from eager PyTorch by {result.max_rel:.2e} relative "
                f"(allowed: {result.tolerance:.0e})"
            )


def _unlabeled(report: Report) -> Iterator[str]:
    for line in report.runs.predictions:
        if lost := line.predictions.count(NO_LABEL):
            yield (
                f"stage-{line.stage}: logits of {lost} of {len(line.predictions)} evaluation "
                "images hold NaN or infinity"
            )
    for found in report.runs.embeddings:
        if found.lost:
            yield (
                f"stage-{found.stage}: {found.lost} of {len(found.cosines)} embeddings hold NaN or "
                "infinity"
            )
    for counts in report.runs.maps:
        if counts.lost:
            yield (
                f"stage-{counts.stage}: logits of {counts.lost} of {len(counts.right)} evaluation "
                "images hold NaN or infinity"
            )


def _differing(report: Report) -> Iterator[str]:
    for stage in report.stages:
        allowed = differing_allowed(stage.judged, tolerance_of(report), stage.host_agreement)
        if stage.differing > allowed or stage.differing == stage.judged:
            what = "are labeled otherwise than" if stage.host_cosine is None else _OTHER_COSINE
            yield (
                f"stage-{stage.index}: {stage.differing} of {stage.judged} {stage.unit} "
                f"{what} on the host (allowed: {allowed})"
            )
        if stage.host_cosine is not None:
            apart = abs(stage.top1 - stage.host_cosine)
            most = mean_cosine_allowed(tolerance_of(report), stage.host_agreement)
            if apart > most:
                yield (
                    f"stage-{stage.index}: the mean cosine to the teacher's embeddings is "
                    f"{stage.top1:.5f}, on the host {stage.host_cosine:.5f} (allowed: {most:g} "
                    "apart)"
                )


def tolerance_of(report: Report) -> float:
    """The manifest's tolerance, which every parity result repeats."""
    return report.parity[0].tolerance


def _starts(report: Report) -> Iterator[str]:
    """Starts of each arm and state that did not answer as the program did for its parity."""
    for samples in _by_start(report).values():
        arm, state = samples[0].arm, samples[0].state
        program = program_of(arm)
        lost = sum(not is_finite(sample.logits) for sample in samples)
        if lost:
            yield f"{arm}: logits of {lost} of {len(samples)} {state} starts hold NaN or infinity"
        rows = [line for line in report.runs.logits if line.name == program]
        reference = next(line.logits for line in rows if line.input == 0)
        scale = max((abs(v) for line in rows for v in line.logits if v is not None), default=0.0)
        allowed = 2 * tolerance_of(report) * scale
        apart = [_distance(s.logits, reference) for s in samples if is_finite(s.logits)]
        if wrong := sum(distance > allowed for distance in apart):
            yield (
                f"{arm}: {wrong} of {len(samples)} {state} starts answered otherwise than "
                f"{program} did when its parity was taken"
            )


def _by_start(report: Report) -> dict[tuple[str, str], list[TtfiSample]]:
    found: dict[tuple[str, str], list[TtfiSample]] = {}
    for samples in report.runs.ttfi:
        for sample in samples:
            found.setdefault((sample.arm, sample.state), []).append(sample)
    return found


def _distance(found: Sequence[float | None], reference: Sequence[float | None]) -> float:
    """The largest difference; what is no number in the reference has been told with its parity."""
    pairs = zip(found, reference, strict=True)
    return max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=0.0)
