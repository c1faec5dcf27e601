"""The schedule that was chosen and why: part of the manifest. Free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.toml_file import Section, SparseSection
from pipeline.model.route import RouteName
from pipeline.settings import OrderName, PrecisionPlan
from pipeline.settings.quantities import Cosine

#: A difference of two shares, or of two cosines.
GainShare = Annotated[float, Field(ge=-2, le=2)]


class Candidate(Section):
    """An order that could have been chosen.

    Attributes:
        order: what it is called in ``[schedule]``.
        blocks: of the teacher, as they arrive.
        stages: how many would ship.
        mean_gain: accuracy above that of the first candidate's student, averaged over the time
            until the slowest of all candidates is loaded; a share.
    """

    order: OrderName
    blocks: tuple[Annotated[int, Field(ge=0)], ...]
    stages: Annotated[int, Field(ge=1)]
    mean_gain: GainShare


class ScheduleStep(Section):
    """A stage of the chosen order, shipped or not.

    Attributes:
        route: the variant of each block.
        shipped: whether it is a stage of the bundle.
        cost: of what it loads after the last stage that ships, in `Schedule.cost_unit`.
        gain: accuracy above that of the last stage that ships before it; a share.
        low: lower end of the gain's 95 % interval.
        high: upper end.
        why: in words.
    """

    route: RouteName
    shipped: bool
    cost: Annotated[float, Field(ge=0)]
    gain: GainShare
    low: GainShare
    high: GainShare
    why: str


class Int8Student(Section):
    """What the programs of an int8 student answer on the images that choose the stages.

    Attributes:
        top1: their accuracy; a share, or of embeddings a cosine.
        low: lower end of the 95 % interval of that less the float32 student's.
        high: upper end.
    """

    top1: Cosine
    low: GainShare
    high: GainShare


class PlanChoice(Section):
    """Which plan of ``[lowering.precision]`` was taken where the profile says ``auto``.

    Attributes:
        taken: its name.
        fp32_top1: accuracy of the float32 student on the images that choose the stages.
        int8: the student that it was compared with; null where none could be lowered.
        why: in words.
    """

    taken: PrecisionPlan
    fp32_top1: Cosine
    int8: Int8Student | None
    why: str


class Schedule(SparseSection):
    """How the stages of a bundle were chosen.

    Attributes:
        order: the candidate that was chosen.
        images: how many images chose.
        held_out: whether these were kept from training, apart from the test images.
        cost_unit: ``ms`` of a device, or ``MB`` where none was measured.
        cost_origin: where costs come from.
        candidates: in the order in which the profile names them.
        steps: every stage of the chosen order after the first.
        precision: which precision plan was taken, where that was left to the build.
    """

    order: OrderName
    images: Annotated[int, Field(ge=1)]
    held_out: bool
    cost_unit: Literal["ms", "MB"]
    cost_origin: str
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)]
    steps: tuple[ScheduleStep, ...]
    precision: PlanChoice | None = None
