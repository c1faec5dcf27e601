"""Reads a trace back, by the classes of the package that defines the format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent


@dataclass
class Read:
    """A slice, or a value of a counter."""

    name: str
    begin: int
    depth: int = 0
    duration: int = -1
    notes: dict[str, Any] = field(default_factory=dict)
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    value: float | None = None


def tracks_of(data: bytes) -> dict[int, Any]:
    """The descriptions of all tracks, each of which comes before what is on it."""
    found: dict[int, Any] = {}
    for packet in Trace.FromString(data).packet:
        assert packet.trusted_packet_sequence_id
        if packet.HasField("track_descriptor"):
            assert packet.track_descriptor.uuid not in found
            found[packet.track_descriptor.uuid] = packet.track_descriptor
        else:
            assert packet.track_event.track_uuid in found
    return found


def name_of(track: Any) -> str:
    return str(track.thread.thread_name or track.name or track.process.process_name)


def read_trace(data: bytes) -> dict[str, list[Read]]:
    """What is on each track, by its name, outer slices before inner ones."""
    tracks = tracks_of(data)
    found: dict[str, list[Read]] = {name_of(track): [] for track in tracks.values()}
    open_slices: dict[int, list[Read]] = {uuid: [] for uuid in tracks}
    last = 0
    for packet in Trace.FromString(data).packet:
        if not packet.HasField("track_event"):
            continue
        event, at = packet.track_event, packet.timestamp
        assert at >= last, "not in the order of time"
        last = at
        within = open_slices[event.track_uuid]
        items = found[name_of(tracks[event.track_uuid])]
        if event.type == TrackEvent.TYPE_SLICE_END:
            ended = within.pop()
            ended.duration = at - ended.begin
            continue
        item = Read(event.name, at, depth=len(within))
        items.append(item)
        if event.type == TrackEvent.TYPE_COUNTER:
            item.value = event.double_counter_value
            continue
        assert event.type == TrackEvent.TYPE_SLICE_BEGIN
        item.begins, item.ends = [*event.flow_ids], [*event.terminating_flow_ids]
        for note in event.debug_annotations:
            item.notes[note.name] = getattr(note, str(note.WhichOneof("value")))
        within.append(item)
    assert not any(open_slices.values()), "a slice without an end"
    return found
