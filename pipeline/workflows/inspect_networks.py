"""The networks of a user's function, and where they can be cut, before a profile says anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.work import Work
from pipeline.ingest.calling import called, called_student, seeded
from pipeline.ingest.cuts import Cuts, balanced_split, given_cuts, possible_cuts
from pipeline.ingest.own_parts import (
    has_parts,
    image_shape_of,
    network_of,
    require_cuttable,
    split_of,
)
from pipeline.ingest.probe import probe_images
from pipeline.ingest.split_candidates import measured_split
from pipeline.settings import NETWORK_KINDS, OwnStudent, Settings, SourceModel
from pipeline.workflows.load_time_splits import LoadTimeSplits
from pipeline.workflows.profile_settings import profile_settings

if TYPE_CHECKING:
    from pipeline.data.images import Dataset


@dataclass(frozen=True, slots=True)
class InspectedNetwork:
    """One network.

    Attributes:
        name: ``teacher`` or ``student``.
        kind: the name of its class.
        given: whether it comes in blocks, so that it is not cut.
        cuts: all places where it can be cut, or the blocks that it comes in.
        splits: what ``auto:N`` and the like make of it.
        load_ms: what each part takes to load, where the profile has that measured.
    """

    name: str
    kind: str
    given: bool
    cuts: Cuts
    splits: Mapping[str, Sequence[str]]
    load_ms: Sequence[float] = ()


def inspect_networks(
    text: str, shape: tuple[int, ...] | None, blocks: Sequence[int], work: Work
) -> list[InspectedNetwork]:
    """The networks that a source gives, cut nowhere yet.

    Args:
        text: ``python:PLACE``, ``transformers:PLACE`` or ``timm:PLACE`` as in a profile, or a
            profile (.toml) with such a source.
        shape: channels, height, width of images, for a function that gives a network alone.
        blocks: the numbers of blocks to try.
        work: how parts are lowered where the profile has them measured; told what is to be known
            about weights that are read.

    Raises:
        UsageError: there is no such source, or it fails, or its networks cannot be followed.
    """
    settings = profile_settings(Path(text)) if text.endswith(".toml") else None
    source = _network_source(text, settings)

    def image_shape() -> tuple[int, ...]:
        if shape is not None:
            return shape
        if settings is None:
            raise UsageError(
                f"{text} gave a network alone: nobody says the shape of its images",
                "give --image-shape 3,224,224 (channels, height, width), or name the profile",
            )
        return dataset().image_shape

    @cache
    def dataset() -> Dataset:
        from pipeline.data.source import load_dataset

        assert settings is not None
        return load_dataset(settings.data, settings.seed, task=settings.task)

    def tokens() -> int | None:
        return dataset().vocabulary if settings is not None and shape is None else None

    with seeded(settings.seed if settings else 0):
        known = settings is not None or shape is not None or source.kind == "python"
        images = image_shape if known else None
        task = settings.task.kind if settings else None
        given = called(source, images, work.progress, lambda: len(dataset().names), tokens, task)
        found = image_shape_of(source.source, given.image_shape)
        networks: dict[str, object] = {"teacher": given.teacher, "student": given.student}
        if isinstance(source.student, OwnStudent):
            networks["student"] = called_student(source.student, given.vocabulary)
        inspected = [
            _inspected(source.source, name, network, found, blocks)
            for name, network in networks.items()
            if network is not None
        ]
        if settings is None:
            return inspected
        splits, split = LoadTimeSplits(settings, work), _split_of(source, given.split)
        return [
            _measured(source.source, each, networks[each.name], split[each.name], found, splits)
            for each in inspected
        ]


def _network_source(text: str, settings: Settings | None) -> SourceModel:
    source = settings.model if settings else SourceModel(source=text)
    if not isinstance(source, SourceModel) or source.kind not in NETWORK_KINDS:
        raise UsageError(
            f"{text}: only networks of {', '.join(NETWORK_KINDS)} can be cut",
            "name a bundle, python:MODULE:FUNCTION, transformers:FOLDER, timm:FOLDER, or a profile "
            "with such a source",
        )
    return source


def _split_of(source: SourceModel, given: object) -> dict[str, Sequence[str]]:
    """Where each network is to be cut, by its name."""
    split = split_of(source.source, given, source.split)
    own = source.student.split or () if isinstance(source.student, OwnStudent) else split
    return {"teacher": split, "student": own}


def _measured(
    source: str,
    inspected: InspectedNetwork,
    network: object,
    split: Sequence[str],
    shape: tuple[int, ...],
    splits: LoadTimeSplits,
) -> InspectedNetwork:
    """The same with the cuts that a build chooses, where it is one to measure them."""
    if inspected.given or not split or not isinstance(network, nn.Module):
        return inspected
    found = measured_split(source, inspected.name, network, split, shape, splits.choose)
    choice = splits.choices.get(inspected.name)
    if choice is None:
        return inspected
    times = [part.ms for part in choice.parts]
    return replace(inspected, splits={**inspected.splits, split[0]: found}, load_ms=times)


def _inspected(
    source: str, name: str, network: object, shape: tuple[int, ...], blocks: Sequence[int]
) -> InspectedNetwork:
    where, images = f"{source}: the {name}", probe_images(shape)
    kind = getattr(network, "user_class", type(network).__name__)
    if has_parts(network) or not isinstance(network, nn.Module):
        parts = network_of(source, name, network, (), shape)
        return InspectedNetwork(name, kind, True, given_cuts(where, parts, images), {})
    require_cuttable(source, name, network)
    cuts = possible_cuts(where, network.eval(), images)
    splits = {
        f"auto:{count}": balanced_split(where, network, images, count, cuts)
        for count in blocks
        if count < len(cuts.parts)
    }
    return InspectedNetwork(name, kind, False, cuts, splits)
