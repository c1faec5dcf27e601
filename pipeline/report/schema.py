"""report.json: what was measured, on what, and how sure one can be.

The JSON Schema generated from these types is published as docs/report.schema.json. Every sample is
kept: medians, ratios and verdicts can be computed anew from the file alone.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from pipeline.bundle.manifest import Input
from pipeline.bundle.output import Output, metric_of_output
from pipeline.bundle.schedule import Schedule
from pipeline.core.toml_file import Section
from pipeline.device.base import DeviceProperties
from pipeline.device.guards import Finding, GuardId
from pipeline.device.state import DeviceState
from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.harness.campaign import CampaignOptions
from pipeline.harness.samples import Dropping, Info, Runs
from pipeline.report.report_consistency import report_contradictions
from pipeline.settings import TaskMetric
from pipeline.settings.quantities import Cosine, Share

SCHEMA_VERSION: Literal[3] = 3

#: As many contradictions are told; the others mostly follow from these.
MOST_PROBLEMS = 5

Verdict = Literal["valid", "suspect", "invalid"]
#: What the blocks of a stage compute with; ``int8`` by whatever recipe.
StagePrecision = Literal["fp32", "int8", "mixed"]


class Metric(Section):
    """One quantity.

    Attributes:
        unit: such as ``ms``, ``MB``, ``bytes``, ``share``, ``cosine``, ``ratio``, ``relative``.
        samples: every value.
        rounds: the round that each sample comes from; samples of one round belong together.
        median: of the samples.
        low: lower end of the median's 95 % interval.
        high: upper end.
    """

    unit: str
    samples: Annotated[tuple[float, ...], Field(min_length=1)]
    rounds: tuple[int, ...]
    median: float
    low: float
    high: float

    @model_validator(mode="after")
    def _of_its_samples(self) -> Self:
        if len(set(self.rounds)) != len(self.samples) or len(self.rounds) != len(self.samples):
            raise ValueError("not one round for each sample")
        if self.median != median(self.samples):
            raise ValueError(f"the median of the samples is {median(self.samples)}")
        if not min(self.samples) <= self.low <= self.median <= self.high <= max(self.samples):
            raise ValueError("low, median and high are not in order within the samples")
        return self


class Ratio(Section):
    """The median of one metric over another, round by round, with its 95 % interval.

    Attributes:
        numerator: name of a metric.
        denominator: name of a metric.
        median: of the ratios.
        low: lower end of the interval.
        high: upper end.
        rounds: how many rounds had both.
    """

    numerator: str
    denominator: str
    median: float
    low: float
    high: float
    rounds: int


class StageResult(Section):
    """What the device makes of the evaluation set at one stage.

    Attributes:
        index: of the stage.
        route: the variant of each block.
        load_bytes: size of what the stage loads.
        correct: images that the device labels rightly, or pixels; null of embeddings.
        images: images evaluated.
        top1: their share, of images or of labeled pixels; of embeddings the mean cosine.
        low: lower end of its 95 % interval, Wilson's, or of pixels and embeddings that of
            images.
        high: upper end.
        host_correct: images that the host labels rightly: eager PyTorch, or the programs
            themselves where some are quantized; null of embeddings.
        differing: images, or labeled pixels, that device and host label differently; embeddings
            whose cosine is further from the host's than `report.integrity.cosine_allowed`.
        balanced: the device's balanced accuracy, the mean of all recalls.
        recall: per label the share of its images that the device labels rightly; null where it
            has none.
        host_agreement: of quantized programs: how far these agree with eager PyTorch on the
            host, as `Score.agreement` says it.
        pixels: where pixels are labeled, how many of all images are.
        host_cosine: of embeddings: the host's mean cosine, on the same images.
        host_low: of pixels and embeddings the lower end of the interval of the host's accuracy.
        iou: of pixels per label intersection over union; null where it is nowhere, nor given.
        mean_iou: their mean.
        precision: what all of its blocks compute with, or ``mixed``; null in reports that older
            releases wrote.
    """

    index: int
    route: str
    load_bytes: int
    correct: NonNegativeInt | None = None
    images: Annotated[int, Field(ge=1)]
    top1: Cosine
    low: Cosine
    high: Cosine
    host_correct: NonNegativeInt | None = None
    differing: NonNegativeInt
    balanced: Share | None = None
    recall: tuple[Share | None, ...] = ()
    host_agreement: Cosine | None = None
    precision: StagePrecision | None = None
    pixels: Annotated[int, Field(ge=1)] | None = None
    host_cosine: Cosine | None = None
    host_low: Cosine | None = None
    iou: tuple[Share | None, ...] = ()
    mean_iou: Share | None = None

    @property
    def judged(self) -> int:
        """Of how many `correct` and `differing` are."""
        return self.pixels or self.images

    @property
    def unit(self) -> str:
        """Of what."""
        return "images" if self.pixels is None else "pixels"


class ParityResult(Section):
    """The deviation of the device's logits from eager PyTorch on the golden inputs.

    Attributes:
        name: of a stage, such as ``stage-0``, or of a control arm.
        max_abs: largest absolute difference; a NaN on the device gives null.
        max_rel: that, over the largest absolute reference value.
        tolerance: the largest `max_rel` that float32 programs may show.
        passed: whether it is within its limit.
        sqnr_db: the reference's energy over the difference's, in decibels, 200 at most.
        least_sqnr_db: what quantized programs have to reach, whose `max_rel` decides nothing.
        agreement: the share of golden inputs that get eager PyTorch's label.
        cosine: of embeddings: the least of a golden input's to that of eager PyTorch.
    """

    name: str
    max_abs: Annotated[float, Field(ge=0)] | None
    max_rel: Annotated[float, Field(ge=0)] | None
    tolerance: Annotated[float, Field(gt=0)]
    passed: bool
    sqnr_db: float | None = None
    least_sqnr_db: Annotated[float, Field(ge=0)] | None = None
    agreement: Share | None = None
    cosine: Cosine | None = None


class ArmFacts(Section):
    """A control arm: a whole network as one program, or as ``chain`` the last stage's programs.

    Attributes:
        name: what metrics call it.
        route: the variant of each block.
        precision: of its program.
        bytes: size of its program, or of all programs of the chain.
        host_top1: accuracy on the whole test set, on the host: of eager PyTorch along its route, or
            of the program itself where it is quantized; of embeddings the mean cosine.
    """

    name: str
    route: str
    precision: str
    bytes: NonNegativeInt
    host_top1: Cosine


class BundleFacts(Section):
    """The bundle that was measured, and the control arms beside it."""

    name: str
    id: str
    family: str
    blocks: int
    backend: str
    exporter: str
    precision: str
    threads: int
    bytes: int
    arms: tuple[ArmFacts, ...]


class Context(Section):
    """Where and how it was measured.

    Attributes:
        created: UTC, ISO 8601.
        tool: version of this package.
        device: what the device says of itself.
        engine: name and version of the inference library, as the harness package states it.
        target: name of the target that the harness was built for.
        harness: what the harness says of itself.
        options: how much was measured.
        allowed: guards that were told not to refuse the device; see `pipeline.device.guards`.
        cores: those that the harness was bound to; none: wherever the system put it.
        dropping: how files left the page cache before cold starts.
        before: state of the device when measuring began.
        between: its states after each round, once it had cooled where that was waited for.
        after: state when it ended.
        seconds: how long it took.
    """

    created: str
    tool: str
    device: DeviceProperties
    engine: str
    target: str = "host"
    harness: Info
    options: CampaignOptions
    allowed: tuple[GuardId, ...] = ()
    cores: tuple[int, ...] = ()
    dropping: Dropping = "eviction"
    before: DeviceState
    between: tuple[DeviceState, ...] = ()
    after: DeviceState
    seconds: float


class Validity(Section):
    """Whether the numbers may be trusted, and what speaks against it.

    Attributes:
        verdict: ``suspect`` where timings may be those of something else, ``invalid`` where results
            are wrong.
        reasons: why, each with the id by which a gates file allows it.
    """

    verdict: Verdict
    reasons: tuple[Finding, ...]


class Report(Section):
    """A whole report.

    Attributes:
        input: what the first program reads, and how an image becomes it, as the manifest says.
        labels: names of the classes, in the order of logits and recalls.
        output: what the model answers with, where that is not a logit for each label.
        warnings: what speaks against the model, as the manifest says.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    bundle: BundleFacts
    context: Context
    validity: Validity
    stages: Annotated[tuple[StageResult, ...], Field(min_length=1)]
    parity: Annotated[tuple[ParityResult, ...], Field(min_length=1)]
    metrics: dict[str, Metric]
    ratios: dict[str, Ratio]
    runs: Runs
    schedule: Schedule | None = None
    input: Input | None = None
    labels: tuple[str, ...] = ()
    output: Output | None = None
    warnings: tuple[ModelWarning, ...] = ()

    @property
    def metric(self) -> TaskMetric:
        """What stages and arms are judged by."""
        return metric_of_output(self.output)

    def to_json(self) -> str:
        """The text of report.json."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, allow_nan=False) + "\n"

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if problems := list(report_contradictions(self)):
            raise ValueError("; ".join(problems[:MOST_PROBLEMS]))
        return self
