"""What the harness says, typed. Its lines are data from another machine: every key is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from pipeline.core.toml_file import Section
from pipeline.harness.embedding_cosines import EmbeddingCosines
from pipeline.harness.map_counts import MapCounts
from pipeline.harness.memory_sample import MemorySample

#: Programs out of the page cache; the same, with weight caches on disk; in the page cache.
State = Literal["cold", "cold-cached", "warm"]

#: How files leave the page cache before a cold start: Android drops all of it when a property says
#: so; the harness has the kernel let go of its own files.
Dropping = Literal["property", "eviction"]

#: What stands for the label of an image whose logits hold NaN or infinity.
NO_LABEL = -1

#: What a program makes of one input; None stands for NaN or infinity.
LogitRow = Annotated[tuple[float | None, ...], Field(min_length=1)]
PositiveNs = Annotated[int, Field(gt=0)]

#: More frames in a second than the harness takes.
MOST_FPS = 1_000_000


class Info(Section):
    """The build of the harness, and what the device lets it see.

    `cores` are those that it runs on, as the kernel says: where some were asked for, these.
    """

    harness: str
    engine: str
    abi: str
    compiler: str
    page_bytes: int
    cores_online: int
    cores: tuple[int, ...]


class Installed(Section):
    """What installing did, in programs: files hashed, weight caches built, there, and without."""

    hashed: NonNegativeInt
    built: NonNegativeInt
    there: NonNegativeInt
    without: NonNegativeInt


class TtfiSample(Section):
    """One process from its start to its first answer, and some inferences after.

    `cache_bytes` is the size of the arm's weight caches, 0 without them. Times are nanoseconds,
    memory kB; -1 where the device does not say. `ttfi_ns` runs from "the app
    wants an answer" to the answer; `process_ns` from the start of the process. The phases of the
    former are engine, locate, verify, map, parse, prepare, run0. Beside a wall time stands, as
    ``_cpu_ns``, the processors' time that the process used in it, all its threads together.
    """

    arm: str
    state: State
    pages: int
    resident_pages: int
    start_ns: int
    engine_ns: int
    locate_ns: int
    verify_ns: int
    map_ns: int
    parse_ns: int
    prepare_ns: int
    run0_ns: int
    ttfi_ns: PositiveNs
    ttfi_cpu_ns: NonNegativeInt
    process_ns: PositiveNs
    process_cpu_ns: NonNegativeInt
    rss_kb: int
    steady_rss_kb: int
    peak_rss_kb: int
    bytes_read: int
    cache_bytes: int
    steady_ns: tuple[PositiveNs, ...]
    steady_cpu_ns: tuple[NonNegativeInt, ...]
    logits: LogitRow

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.steady_ns) != len(self.steady_cpu_ns):
            raise ValueError("steady_ns and steady_cpu_ns differ in length")
        return self


class StageLoad(Section):
    """How a stage became ready. Times in nanoseconds since the app wanted an answer.

    Until `ready_ns`, `warm_ns` ran its new programs; a second thread loaded some in `ahead_ns`.
    """

    stage: int
    load_begin_ns: int
    ready_ns: int
    warm_ns: int = 0
    ahead_begin_ns: int = 0
    ahead_ns: int = 0
    commit_ns: int
    locate_ns: int
    verify_ns: int
    map_ns: int
    parse_ns: int
    prepare_ns: int
    bytes: int
    rss_kb: int
    peak_rss_kb: int


class Inferences(Section):
    """Every inference of a process: when it began, how long it took, on which stage it ran.

    `cpu_ns` is the processors' time of the whole process in it: that of the loading thread, too.
    `frame` is the frame that each answered, where frames came at a rate; empty at full speed.
    """

    begin_ns: Annotated[tuple[int, ...], Field(min_length=1)]
    duration_ns: tuple[PositiveNs, ...]
    cpu_ns: tuple[NonNegativeInt, ...]
    stage: tuple[int, ...]
    frame: tuple[NonNegativeInt, ...] = ()

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        lists = (self.begin_ns, self.duration_ns, self.cpu_ns, self.stage)
        if len({len(each) for each in lists}) > 1:
            raise ValueError("begin_ns, duration_ns, cpu_ns and stage differ in length")
        return self


class ProgressSample(Section):
    """One process that serves while it loads.

    Attributes:
        state: of the page cache when it started.
        pages: pages of its files.
        resident_pages: of which were in the page cache.
        process_to_origin_ns: from the start of the process to the origin of all other times.
        start_ns: from the start of the process to main().
        hold: inferences served at each stage before the next one was loaded.
        fps: frames that came in a second; 0 for inferences one after the other, at full speed.
        wall_ns: from the origin to the end of serving.
        cpu_ns: processors' time that the process used in that.
        rss_kb: at the end.
        peak_rss_kb: highest.
        bytes_read: from storage.
        cache_bytes: size of the weight caches of all programs, 0 without them.
        loads: every stage that became active, in order.
        inferences: every inference.
    """

    state: State
    pages: int
    resident_pages: int
    process_to_origin_ns: int
    start_ns: int
    hold: int
    fps: Annotated[int, Field(ge=0, le=MOST_FPS)] = 0
    wall_ns: PositiveNs
    cpu_ns: NonNegativeInt
    rss_kb: int
    peak_rss_kb: int
    bytes_read: int
    cache_bytes: int
    loads: Annotated[tuple[StageLoad, ...], Field(min_length=1)]
    inferences: Inferences

    @model_validator(mode="after")
    def _served_to_the_end(self) -> Self:
        stages = [load.stage for load in self.loads]
        if stages != list(range(len(stages))):
            raise ValueError(f"stages {stages} were loaded, which is not one after the other")
        if self.inferences.stage[-1] != stages[-1]:
            raise ValueError(f"no inference ran on stage {stages[-1]}, which was loaded last")
        return self

    @model_validator(mode="after")
    def _answered_frames_that_came(self) -> Self:
        begin, frames = self.inferences.begin_ns, self.inferences.frame
        if not self.fps:
            if frames:
                raise ValueError("frames were answered, but none came")
            return self
        if len(frames) != len(begin) or list(frames) != sorted(set(frames)):
            raise ValueError("not another, later frame for each inference")
        if any(
            at < frame_begin_ns(frame, self.fps) for frame, at in zip(frames, begin, strict=True)
        ):
            raise ValueError("a frame was answered before it came")
        return self


def frame_begin_ns(frame: int, fps: int) -> int:
    """When a frame comes, in nanoseconds since the app wanted an answer; the one before ends then.

    Args:
        frame: its number, from 0.
        fps: how many come in a second.
    """
    return frame * 1_000_000_000 // fps


class LatencySample(Section):
    """Steady latencies of a stage (``stage-0``...) or a control arm, taken in turns with others."""

    name: str
    steady_ns: Annotated[tuple[PositiveNs, ...], Field(min_length=1)]
    steady_cpu_ns: tuple[NonNegativeInt, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.steady_ns) != len(self.steady_cpu_ns):
            raise ValueError("steady_ns and steady_cpu_ns differ in length")
        return self


class Predictions(Section):
    """The label that a stage gives to every evaluation image; `NO_LABEL` where it gives none."""

    stage: int
    predictions: Annotated[tuple[Annotated[int, Field(ge=NO_LABEL)], ...], Field(min_length=1)]


class Logits(Section):
    """What a stage or a control arm makes of one golden input; of label maps, an excerpt."""

    name: str
    input: int
    logits: LogitRow


class Rejected(Section):
    """A run that waited for processors, and was run again in its place.

    Attributes:
        round: in which it was run.
        wall_over_cpu: see `pipeline.harness.contention`.
        ttfi, progress, latency: what it gave, as one of these.
    """

    round: NonNegativeInt
    wall_over_cpu: float
    ttfi: TtfiSample | None = None
    progress: ProgressSample | None = None
    latency: tuple[LatencySample, ...] = ()


class Runs(Section):
    """Every sample of a campaign: lists of rounds, in the order in which they were run.

    Attributes:
        ttfi: starts of every arm.
        progress: runs through all stages at full speed.
        paced: the same, staying at each stage for a while.
        latency: steady latencies.
        predictions: labels of the evaluation images.
        maps, embeddings: in their place where answers are these.
        logits: of the golden inputs.
        served: runs through all stages while frames come, one for each rate.
        served_paced: the same, staying at each stage for a while.
        memory: what memory is made of, for each arm.
        two_step: runs that load the student alone, then the whole teacher.
        rejected: runs whose place another one took.
    """

    ttfi: tuple[tuple[TtfiSample, ...], ...]
    progress: tuple[tuple[ProgressSample, ...], ...]
    paced: tuple[ProgressSample, ...]
    latency: tuple[tuple[LatencySample, ...], ...]
    predictions: tuple[Predictions, ...]
    logits: tuple[Logits, ...]
    served: tuple[tuple[ProgressSample, ...], ...] = ()
    served_paced: tuple[tuple[ProgressSample, ...], ...] = ()
    memory: tuple[tuple[MemorySample, ...], ...] = ()
    two_step: tuple[tuple[ProgressSample, ...], ...] = ()
    rejected: tuple[Rejected, ...] = ()
    maps: tuple[MapCounts, ...] = ()
    embeddings: tuple[EmbeddingCosines, ...] = ()

    @property
    def climbs(self) -> tuple[tuple[ProgressSample, ...], ...]:
        """Every run through all stages of the bundle, whatever came meanwhile."""
        return (*self.progress, self.paced, *self.served, *self.served_paced)


def is_finite(row: Sequence[float | None]) -> bool:
    """Whether every logit is a number."""
    return None not in row
