"""Which files of a bundle an app gets together: asset packs, by the stage that first needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError

if TYPE_CHECKING:
    from pipeline.bundle.manifest import Manifest, Stage
    from pipeline.settings.android_settings import AndroidSettings, Delivery


@dataclass(frozen=True, slots=True)
class AssetPack:
    """Units that an app gets together.

    Attributes:
        name: of the Gradle module and of the pack.
        delivery: when it arrives; ``base``: it is no pack, but assets of the app itself.
        stage: the first stage that it is needed for. Stages before it run without it.
        units: ids of the artifacts in it.
    """

    name: str
    delivery: Delivery
    stage: int
    units: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.delivery})"


def asset_packs(manifest: Manifest, settings: AndroidSettings) -> tuple[AssetPack, ...]:
    """The packs of a bundle in the order in which they are needed; the first is the student's.

    A unit goes with the first stage that needs it, so a stage that needs nothing new has no pack.
    """
    needed = _first_stages(manifest.stages)
    if settings.delivery == "base":
        packs = [AssetPack(settings.name, "base", 0, tuple(needed))]
    else:
        packs = [AssetPack(f"{settings.name}_student", "install-time", 0, _of(needed, [0]))]
        for name, stages in _later(settings, sorted(set(needed.values()) - {0})):
            packs.append(
                AssetPack(
                    f"{settings.name}_{name}", settings.delivery, stages[0], _of(needed, stages)
                )
            )
    require_stage_order(packs, manifest.stages)
    return tuple(packs)


def require_stage_order(packs: Sequence[AssetPack], stages: Sequence[Stage]) -> None:
    """Makes sure that what a stage needs is there when the packs up to its own have arrived.

    Raises:
        UsageError: a unit is in no pack, in two, or in one of a later stage.
    """
    remedy = "put each unit into the pack of the first stage that needs it"
    place: dict[str, AssetPack] = {}
    for pack in packs:
        for unit in pack.units:
            if unit in place:
                raise UsageError(f"{unit} is in {place[unit].name} and in {pack.name}", remedy)
            place[unit] = pack
    for stage in stages:
        for unit in stage.units:
            if unit not in place:
                raise UsageError(f"stage {stage.index} needs {unit}, which is in no pack", remedy)
            if place[unit].stage > stage.index:
                raise UsageError(
                    f"stage {stage.index} needs {unit}, which arrives with {place[unit].name}, "
                    f"the pack of stage {place[unit].stage}",
                    remedy,
                )


def _first_stages(stages: Iterable[Stage]) -> dict[str, int]:
    """The first stage that needs each unit, in the order in which they are needed."""
    needed: dict[str, int] = {}
    for stage in stages:
        for unit in stage.units:
            needed.setdefault(unit, stage.index)
    return needed


def _later(settings: AndroidSettings, stages: list[int]) -> list[tuple[str, list[int]]]:
    """The packs after the student's: name and the stages whose new units each holds."""
    if not stages:
        return []
    if settings.packs == "teacher":
        return [("teacher", stages)]
    return [(f"stage{stage}", [stage]) for stage in stages]


def _of(needed: dict[str, int], stages: Sequence[int]) -> tuple[str, ...]:
    return tuple(unit for unit, stage in needed.items() if stage in stages)
