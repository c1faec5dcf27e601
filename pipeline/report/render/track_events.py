"""Perfetto's track events: slices and counters on tracks of one process.

They are written as https://perfetto.dev/docs/reference/synthetic-track-event says, by the protobuf
classes of the package ``perfetto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The one process of a trace, and the number that stands for it.
_PID = 1
#: All packets are of one writer, whose order counts where times are equal.
_SEQUENCE = 1


@dataclass(frozen=True, slots=True)
class Slice:
    """Something that lasts.

    Attributes:
        name: what it is called; slices of one name have one color.
        begin_ns: when it began.
        end_ns: when it ended.
        notes: what is told about it where it is selected.
        inner: what happened within, in order.
        begins: numbers of the arrows that lead from here to another slice.
        ends: numbers of the arrows that lead here.
    """

    name: str
    begin_ns: int
    end_ns: int
    notes: Mapping[str, str | int] = field(default_factory=dict)
    inner: Sequence[Slice] = ()
    begins: Sequence[int] = ()
    ends: Sequence[int] = ()


class TraceWriter:
    """Collects the tracks of a process and what is on them.

    Args:
        name: of the process.
        begun_ns: the earliest time, which may be negative; a trace counts from there.
    """

    def __init__(self, name: str, begun_ns: int) -> None:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos
        from perfetto.trace_builder.proto_builder import TraceProtoBuilder

        self._protos, self._builder = protos, TraceProtoBuilder()
        self._begun_ns = begun_ns
        self._events: list[Any] = []
        self._tracks = 0
        process = self._describe()
        process.process.pid = _PID
        process.process.process_name = name
        self._process = process.uuid

    def add_thread(self, number: int, name: str, slices: Iterable[Slice]) -> None:
        """A track of a thread: 1 is the main one. Its slices are in order and do not overlap."""
        descriptor = self._describe(self._process)
        descriptor.thread.pid, descriptor.thread.tid = _PID, number
        descriptor.thread.thread_name = name
        self._add_slices(descriptor.uuid, slices)

    def add_track(self, name: str, slices: Iterable[Slice]) -> None:
        """A track that is no thread's. Its slices are in order and do not overlap."""
        descriptor = self._describe(self._process)
        descriptor.name = name
        self._add_slices(descriptor.uuid, slices)

    def add_counter(self, name: str, unit: str, values: Iterable[tuple[int, float]]) -> None:
        """A quantity: its value from each time (nanoseconds) on."""
        descriptor = self._describe(self._process)
        descriptor.name = name
        descriptor.counter.unit_name = unit
        for at_ns, value in values:
            event = self._event(descriptor.uuid, at_ns, self._protos.TrackEvent.TYPE_COUNTER)
            event.double_counter_value = value

    def to_bytes(self) -> bytes:
        """The whole trace: descriptions first, then events by time."""
        for packet in sorted(self._events, key=lambda packet: int(packet.timestamp)):
            self._builder.add_packet().CopyFrom(packet)
        self._events.clear()
        return bytes(self._builder.serialize())

    def _describe(self, parent: int | None = None) -> Any:
        self._tracks += 1
        packet = self._builder.add_packet()
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.track_descriptor.uuid = self._tracks
        if parent is not None:
            packet.track_descriptor.parent_uuid = parent
        return packet.track_descriptor

    def _add_slices(self, track: int, slices: Iterable[Slice]) -> None:
        kinds = self._protos.TrackEvent
        for each in slices:
            event = self._event(track, each.begin_ns, kinds.TYPE_SLICE_BEGIN)
            event.name = each.name
            event.flow_ids.extend(each.begins)
            event.terminating_flow_ids.extend(each.ends)
            for name, value in each.notes.items():
                note = event.debug_annotations.add()
                note.name = name
                if isinstance(value, str):
                    note.string_value = value
                else:
                    note.int_value = value
            self._add_slices(track, each.inner)
            self._event(track, each.end_ns, kinds.TYPE_SLICE_END)

    def _event(self, track: int, at_ns: int, kind: int) -> Any:
        packet = self._protos.TracePacket()
        packet.timestamp = at_ns - self._begun_ns
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.track_event.type = kind
        packet.track_event.track_uuid = track
        self._events.append(packet)
        return packet.track_event
