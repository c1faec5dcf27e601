"""What the harness says, typed. Its lines are data from another machine: every key is checked."""

from __future__ import annotations

from typing import Literal

from pipeline.section import Section

#: Programs out of the page cache; the same, with weight caches on disk; in the page cache.
State = Literal["cold", "cold-cached", "warm"]


class Info(Section):
    """The build of the harness, and what the device lets it see."""

    harness: str
    engine: str
    abi: str
    compiler: str
    page_bytes: int
    cores_online: int
    cores_allowed: int


class TtfiSample(Section):
    """One process from its start to its first answer, and some inferences after.

    `cache_bytes` is the size of the arm's weight caches, 0 without them. Times are nanoseconds,
    memory kB; -1 where the device does not say. `ttfi_ns` runs from "the app
    wants an answer" to the answer; `process_ns` from the start of the process. The phases of the
    former are engine, locate, verify, map, parse, prepare, run0.
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
    ttfi_ns: int
    process_ns: int
    rss_kb: int
    steady_rss_kb: int
    peak_rss_kb: int
    bytes_read: int
    cache_bytes: int
    steady_ns: tuple[int, ...]
    logits: tuple[float | None, ...]


class StageLoad(Section):
    """How a stage became ready. Times in nanoseconds since the app wanted an answer."""

    stage: int
    load_begin_ns: int
    ready_ns: int
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
    """Every inference of a process: when it began, how long it took, on which stage it ran."""

    begin_ns: tuple[int, ...]
    duration_ns: tuple[int, ...]
    stage: tuple[int, ...]


class ProgressSample(Section):
    """One process that serves while it loads.

    Attributes:
        state: of the page cache when it started.
        pages: pages of its files.
        resident_pages: of which were in the page cache.
        process_to_origin_ns: from the start of the process to the origin of all other times.
        start_ns: from the start of the process to main().
        hold: inferences served at each stage before the next one was loaded.
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
    rss_kb: int
    peak_rss_kb: int
    bytes_read: int
    cache_bytes: int
    loads: tuple[StageLoad, ...]
    inferences: Inferences


class LatencySample(Section):
    """Steady latencies of a stage (``stage-0``...) or a control, measured in turns with others."""

    name: str
    steady_ns: tuple[int, ...]


class Predictions(Section):
    """The label that a stage gives to every evaluation image."""

    stage: int
    predictions: tuple[int, ...]


class Logits(Section):
    """What a stage or a control makes of one golden input; None stands for NaN or infinity."""

    name: str
    stage: int
    input: int
    logits: tuple[float | None, ...]
