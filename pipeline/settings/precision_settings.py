"""The ``[lowering.precision]`` table: in which numbers the programs of a model compute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from pipeline.core.toml_file import Section
from pipeline.settings.quantities import Count, Share

#: How weights and activations become int8, named as in ai-edge-quantizer: with scales that were
#: found on calibration images, or with activations that are quantized while a program runs.
QuantizationRecipe = Literal["static_wi8_ai8", "dynamic_wi8_afp32"]
#: What a program computes with: float32, one of the recipes, or the one of them that suits it.
Precision = Literal["fp32", "int8", "static_wi8_ai8", "dynamic_wi8_afp32"]

RECIPES: tuple[QuantizationRecipe, ...] = get_args(QuantizationRecipe)
PLAIN: Precision = "fp32"

#: Bits of student and teacher, in the order in which their blocks arrive; where there are three
#: steps, those of the teacher arrive twice. ``auto`` becomes one of the first two.
PrecisionPlan = Literal[
    "S8->T32", "S32->T32", "S8->T8", "S32->T8", "S8->T8->T32", "S32->T8->T32", "auto"
]
PLANS: tuple[PrecisionPlan, ...] = get_args(PrecisionPlan)
AUTO: PrecisionPlan = "auto"
_BY_BITS: dict[str, Precision] = {"8": "int8", "32": PLAIN}

#: Of the blocks of a network: one for all of them, or one each.
_Precisions = Annotated[
    tuple[Precision, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
]


class PrecisionSettings(Section):
    """What the blocks compute with: ``fp32``, ``int8``, or a recipe for int8 by its name.

    ``int8`` takes the recipe that suits a block: on ExecuTorch ``static_wi8_ai8`` for convolutions
    and ``dynamic_wi8_afp32`` for the linear layers of transformers, on LiteRT the latter for all.
    Converters stay fp32, and so does what lies between two programs. See docs/precision.md.
    ``precision = "int8"`` in ``[lowering]`` is short for this table with int8 for both networks,
    and ``precision = "S8->T32"`` for it with that plan.

    Attributes:
        plan: what the blocks of student and teacher compute with as they arrive, instead of the
            two keys below: ``S8->T32`` is an int8 student and a float32 teacher. With
            ``S8->T8->T32`` the teacher's blocks arrive in int8, then in float32 once more. ``auto``
            is ``S8->T32`` where the int8 student is no worse on the images that choose the stages,
            or else ``S32->T32``.
        student, teacher: one name for all of its blocks, or a list of one for each.
        calibration_images: so many training images, held out ones where there are some, set the
            scales of static recipes, along all routes that lead through a block.
        least_sqnr_db: the build fails with exit status 4, and so does a device, where the signal
            of what quantized programs give is not so many decibels above its difference from eager
            PyTorch.
        least_agreement: the build fails, too, where a stage with quantized programs gives fewer of
            the test images, or of their labeled pixels, the same label as eager PyTorch, as a
            share; of embeddings where their mean cosine to eager PyTorch's is less.
    """

    plan: PrecisionPlan | None = None
    student: _Precisions = (PLAIN,)
    teacher: _Precisions = (PLAIN,)
    calibration_images: Count = 64
    least_sqnr_db: Annotated[float, Field(ge=0, le=100)] = 20
    least_agreement: Share = 0.9

    @property
    def first_teacher(self) -> Precision | None:
        """What the teacher's blocks compute with when they arrive first, if they arrive twice."""
        steps = self.plan.split("->") if self.plan else []
        return _BY_BITS[steps[1][1:]] if len(steps) == 3 else None

    @property
    def quantized(self) -> bool:
        """Whether any block is, or may be."""
        names = {*self.student, *self.teacher, self.first_teacher or PLAIN}
        return self.plan == AUTO or names != {PLAIN}

    def planned(self, plan: PrecisionPlan) -> Self:
        """The same limits with that plan."""
        return self.model_copy(update={"plan": plan, **_networks(plan)})

    def arriving_once(self) -> Self:
        """The same without blocks that arrive twice: eager PyTorch cannot tell these apart."""
        return self.model_copy(update={"plan": None}) if self.first_teacher else self

    def __str__(self) -> str:
        if self.plan == AUTO:
            return AUTO
        student, teacher = ("/".join(dict.fromkeys(each)) for each in (self.student, self.teacher))
        if self.first_teacher:
            teacher = f"{self.first_teacher}{_THEN}{teacher}"
        return student if student == teacher else f"student {student}, teacher {teacher}"

    @model_validator(mode="before")
    @classmethod
    def _of_plan(cls, value: Any) -> Any:
        """What a plan's name says about both networks."""
        if not isinstance(value, dict) or value.get("plan") not in PLANS:
            return value
        if named := [key for key in ("student", "teacher") if key in value]:
            raise ValueError(
                f"plan says what student and teacher compute with: leave {' and '.join(named)} "
                "out, or plan"
            )
        return {**value, **_networks(value["plan"])}

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Any:
        """A plan by its name alone, and ``fp32`` for what computes in it alone, without one.

        The latter is as profiles had it before there was a table.
        """
        if self == PrecisionSettings():
            return PLAIN
        dropped = {"student", "teacher"} if self.plan else {"plan"}
        return {name: value for name, value in handler(self).items() if name not in dropped}


_THEN = " then "


def _networks(plan: PrecisionPlan) -> dict[str, tuple[Precision, ...]]:
    """What student and teacher compute with in the end; nothing as long as it is not decided."""
    if plan == AUTO:
        return {}
    first, *_, last = plan.split("->")
    return {"student": (_BY_BITS[first[1:]],), "teacher": (_BY_BITS[last[1:]],)}


def allowed_precisions(text: str, role: str) -> frozenset[str]:
    """What the programs of a role may compute with, by what `str` says of a table.

    Args:
        text: such as ``student int8, teacher int8 then fp32``.
        role: ``student``, ``teacher``, or ``teacher-int8`` for blocks that arrive again in float32;
            any other is a converter's.
    """
    networks = dict(part.partition(" ")[::2] for part in text.split(", "))
    if "teacher" not in networks:
        networks = {"student": text, "teacher": text}
    first, then, last = networks["teacher"].partition(_THEN)
    known = {
        "student": networks.get("student", ""),
        "teacher": last if then else first,
        "teacher-int8": first if then else "",
    }
    names = set(known.get(role, PLAIN).split("/"))
    return frozenset(names | (set(RECIPES) if "int8" in names else set()))


def chain_precision(precisions: Iterable[Precision]) -> Precision:
    """What programs compute with that run one after the other: float32, or the first recipe."""
    return next((precision for precision in precisions if precision != PLAIN), PLAIN)


def _of_one_name(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    planned = value == AUTO or "->" in value
    return {"plan": value} if planned else {"student": value, "teacher": value}


#: As ``[lowering]`` holds it.
LoweringPrecision = Annotated[PrecisionSettings, BeforeValidator(_of_one_name)]
