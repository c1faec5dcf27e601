"""A program of a bundle and the file that it is in: what manifest and controls have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.toml_file import Section, SparseSection, TextPattern
from pipeline.settings import PLAIN, Precision

Sha256 = Annotated[str, TextPattern(r"^[0-9a-f]{64}$", "64 hexadecimal digits")]
Name = Annotated[
    str, TextPattern(r"^[a-z0-9][a-z0-9._-]*$", "lower-case letters, digits, '.', '_' and '-'")
]
#: Relative, without a step upwards and without characters that a shell or a plan would split at.
RelativePath = Annotated[
    str,
    TextPattern(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$",
        "a path below the folder, of letters, digits, '.', '_' and '-'",
    ),
]


class FileEntry(Section):
    """A file of the bundle. `bytes` is its size."""

    path: RelativePath
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Edge(Section):
    """A float32 tensor at a program's edge: sizes in memory order, the batch of one first.

    `layout` is ``NHWC`` where four axes of PyTorch's, batch, channels, height and width, lie in
    that order, and the number of axes otherwise: they stay in the order of PyTorch.
    """

    shape: tuple[Annotated[int, Field(ge=1)], ...]
    layout: Literal["NHWC", "NC", "NTC", "ND"]


class Deviation(SparseSection):
    """The difference from eager PyTorch that the build found.

    Attributes:
        max_abs: largest absolute difference.
        max_rel: that, over the largest absolute reference value.
        inputs: how many inputs were compared.
        sqnr_db: of quantized programs: the reference's energy over the difference's, in decibels.
    """

    max_abs: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    max_rel: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    inputs: Annotated[int, Field(ge=1)]
    sqnr_db: Annotated[float, Field(allow_inf_nan=False)] | None = None


class Artifact(SparseSection, FileEntry):
    """A program.

    Attributes:
        id: what stages call it.
        role: a block variant (``teacher-int8`` is replaced by ``teacher`` in a later stage), or a
            converter (encoders lead from teacher to student features).
        block: index of the block, or of the block that a converter follows.
        parameters: number of parameters in the trained module.
        operators: how often each operator occurs in the program.
        delegated: how many of these the accelerated delegate runs.
        input: what it reads.
        output: what it writes.
        parity: against eager PyTorch, on the machine that built the bundle.
        precision: what it computes with: float32, or int8 by the recipe of that name.
    """

    id: Name
    role: Literal["student", "teacher", "teacher-int8", "encoder", "decoder"]
    block: Annotated[int, Field(ge=0)]
    parameters: Annotated[int, Field(ge=0)]
    operators: dict[str, int]
    delegated: Annotated[int, Field(ge=0)]
    input: Edge
    output: Edge
    parity: Deviation
    precision: Precision = PLAIN
