"""The ``[lowering.precision]`` table: in which numbers the programs of a model compute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from pipeline.core.toml_file import Section
from pipeline.settings.quantities import Count, Share

#: How weights and activations become int8, named as in ai-edge-quantizer: with scales that were
#: found on calibration images, or with activations that are quantized while a program runs.
Recipe = Literal["static_wi8_ai8", "dynamic_wi8_afp32"]
#: What a program computes with: float32, one of the recipes, or the one of them that suits it.
Precision = Literal["fp32", "int8", "static_wi8_ai8", "dynamic_wi8_afp32"]

RECIPES: tuple[Recipe, ...] = get_args(Recipe)
PLAIN: Precision = "fp32"

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
    ``precision = "int8"`` in ``[lowering]`` is short for this table with int8 for both networks.

    Attributes:
        student, teacher: one name for all of its blocks, or a list of one for each.
        calibration_images: so many training images, held out ones where there are some, set the
            scales of static recipes, along all routes that lead through a block.
        least_sqnr_db: the build fails with exit status 4, and so does a device, where the signal
            of what quantized programs give is not so many decibels above its difference from eager
            PyTorch.
        least_agreement: the build fails, too, where a stage with quantized programs gives fewer of
            the test images the same label as eager PyTorch, as a share.
    """

    student: _Precisions = (PLAIN,)
    teacher: _Precisions = (PLAIN,)
    calibration_images: Count = 64
    least_sqnr_db: Annotated[float, Field(ge=0, le=100)] = 20
    least_agreement: Share = 0.9

    @property
    def quantized(self) -> bool:
        """Whether any block is."""
        return {*self.student, *self.teacher} != {PLAIN}

    def __str__(self) -> str:
        student, teacher = ("/".join(dict.fromkeys(each)) for each in (self.student, self.teacher))
        return student if student == teacher else f"student {student}, teacher {teacher}"

    @model_serializer(mode="wrap")
    def _short_where_plain(self, handler: SerializerFunctionWrapHandler) -> Any:
        """``fp32`` for what computes in it alone: as profiles had it before there was a table."""
        return PLAIN if self == PrecisionSettings() else handler(self)


def chain_precision(precisions: Iterable[Precision]) -> Precision:
    """What programs compute with that run one after the other: float32, or the first recipe."""
    return next((precision for precision in precisions if precision != PLAIN), PLAIN)


def _of_one_name(value: Any) -> Any:
    return {"student": value, "teacher": value} if isinstance(value, str) else value


#: As ``[lowering]`` holds it.
LoweringPrecision = Annotated[PrecisionSettings, BeforeValidator(_of_one_name)]
