"""Routes: which variant of each block an inference passes through. Free of torch on purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pipeline.core.errors import UsageError
from pipeline.core.toml_file import TextPattern

#: How files write a route.
RouteName = Annotated[str, TextPattern(r"^[STt]+$", "a word of S, T and t, such as TTSS")]


class Variant(StrEnum):
    """Where a block comes from; the teacher's may arrive twice, in int8 and then in float32."""

    STUDENT = "S"
    TEACHER = "T"
    TEACHER_INT8 = "t"

    @property
    def plain(self) -> Variant:
        """The same block, whatever it computes with."""
        return Variant.TEACHER if self is Variant.TEACHER_INT8 else self


class Role(StrEnum):
    """What a unit is: a block variant, or a converter at a boundary and its direction."""

    STUDENT = "student"
    TEACHER = "teacher"
    TEACHER_INT8 = "teacher-int8"  # of a block that arrives in float32 later
    ENCODER = "encoder"  # teacher features -> student features
    DECODER = "decoder"  # student features -> teacher features


@dataclass(frozen=True, slots=True, order=True)
class UnitId:
    """Names a unit: ``teacher-2`` is the teacher's block 2, ``encoder-0`` follows block 0."""

    role: Role
    index: int

    @property
    def plain(self) -> UnitId:
        """The unit of the same module, whatever it computes with."""
        return replace(self, role=Role.TEACHER) if self.role is Role.TEACHER_INT8 else self

    def __str__(self) -> str:
        return f"{self.role}-{self.index}"


_ROLES = {
    Variant.STUDENT: Role.STUDENT,
    Variant.TEACHER: Role.TEACHER,
    Variant.TEACHER_INT8: Role.TEACHER_INT8,
}


@dataclass(frozen=True, slots=True)
class Route:
    """One variant per block, in order; written ``TTSS``, or ``ttSS`` of a teacher in int8."""

    variants: tuple[Variant, ...]

    @classmethod
    def parse(cls, text: str) -> Route:
        """Reads ``TTSS``, and ``ttSS`` of bundles and reports.

        Raises:
            UsageError: the text is empty or has other letters.
        """
        if not text or set(text) - {*Variant}:
            raise UsageError(f"route {text!r} is not a word of S and T", "write one letter a block")
        return cls(tuple(Variant(letter) for letter in text))

    @classmethod
    def prefix(cls, blocks: int, teachers: int) -> Route:
        """The route whose first `teachers` of `blocks` blocks come from the teacher."""
        if not 0 <= teachers <= blocks:
            raise ValueError(f"{teachers} teacher blocks of {blocks}")
        return cls((Variant.TEACHER,) * teachers + (Variant.STUDENT,) * (blocks - teachers))

    def __str__(self) -> str:
        return "".join(self.variants)

    def __len__(self) -> int:
        return len(self.variants)

    @property
    def all_teacher(self) -> bool:
        """Whether it is the teacher itself."""
        return Variant.STUDENT not in self.variants

    @property
    def mixed(self) -> bool:
        """Whether it has blocks of both."""
        return len(set(self.plain.variants)) > 1

    @property
    def plain(self) -> Route:
        """The same blocks, whatever they compute with: what eager PyTorch runs along it."""
        return Route(tuple(variant.plain for variant in self.variants))

    def units(self) -> tuple[UnitId, ...]:
        """The units in execution order, with a converter wherever the network changes."""
        found: list[UnitId] = []
        for index, variant in enumerate(self.variants):
            if index and variant.plain != self.variants[index - 1].plain:
                role = Role.ENCODER if variant is Variant.STUDENT else Role.DECODER
                found.append(UnitId(role, index - 1))
            found.append(UnitId(_ROLES[variant], index))
        return tuple(found)


def prefix_routes(blocks: int) -> tuple[Route, ...]:
    """The order of the paper: all student, then the teacher's blocks from the first to the last."""
    return tuple(Route.prefix(blocks, teachers) for teachers in range(blocks + 1))


def suffix_routes(blocks: int) -> tuple[Route, ...]:
    """The other way round: the teacher's blocks from the last to the first."""
    return tuple(Route(route.variants[::-1]) for route in prefix_routes(blocks))


def routes_with(routes: Sequence[Route], others: Iterable[Route]) -> tuple[Route, ...]:
    """Some routes of a model, then those of `others` that are not among them, each once.

    Raises:
        UsageError: one of `others` has another number of blocks.
    """
    found, blocks = dict.fromkeys(routes), len(routes[0])
    for route in others:
        if len(route) != blocks:
            raise UsageError(
                f"route {route} has {len(route)} blocks, the model {blocks}",
                f"write {blocks} letters, such as {Route.prefix(blocks, blocks // 2)}",
            )
        found[route] = None
    return tuple(found)
