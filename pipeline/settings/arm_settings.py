"""The ``[[arm]]`` tables of a profile: what its bundle is measured against."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from pipeline.core.toml_file import Section, TextPattern
from pipeline.settings.precision_settings import PLAIN, Precision

#: What results call the progressive bundle itself, beside its arms.
PROGRESSIVE = "pwl"
#: What they call the student alone, then the whole teacher, which is measured beside its arms.
TWO_STEP = "two-step"
#: And the teacher as the chain of the bundle's own programs, loaded in parallel.
CHAIN = "chain"


def _not_reserved(name: str) -> str:
    if name == PROGRESSIVE or name.startswith("stage-"):
        raise ValueError(f"{name!r} is what results call the bundle itself: take another name")
    if name == TWO_STEP:
        raise ValueError(f"{name!r} is measured anyway, of student and teacher: take another name")
    if name == CHAIN:
        raise ValueError(f"{name!r} is measured anyway, of the last stage: take another name")
    return name


class ArmSettings(Section):
    """A control arm: a whole network as one program, measured in turns with the bundle.

    There are always two, ``student`` and ``teacher``; those named here come on top, and one of
    these two names takes that one's place. Arms do not ship: they lie in ``NAME.control``. Where
    the last stage is the teacher alone, its programs are measured as an arm, too: ``chain``, all
    of them loaded in parallel.

    Attributes:
        name: what reports call it.
        route: the variant of each block, such as ``TTSS``; or ``student`` or ``teacher``, for all.
        precision: of weights and arithmetic, as in ``[lowering.precision]``.
    """

    name: Annotated[
        str,
        TextPattern(r"^[a-z0-9][a-z0-9_-]{0,31}$", "lower-case letters, digits, '_' and '-'"),
        AfterValidator(_not_reserved),
    ]
    route: Annotated[
        str, TextPattern(r"^([ST]+|student|teacher)$", "a word of S and T, or student, or teacher")
    ]
    precision: Precision = PLAIN
