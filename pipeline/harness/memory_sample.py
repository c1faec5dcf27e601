"""What the harness says of an arm's memory, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from pipeline.core.toml_file import Section


class MemoryStep(Section):
    """What is resident after a step of `MemorySample`, in kB; -1 where the device does not say.

    Attributes:
        step: what was done: nothing yet, the engine made, a program loaded, destroyed, or run for
            the first time.
        unit: id of the program, if it was about one.
        stage: that was being entered.
        bytes: of a program that was loaded, as its file has them; or else 0.
        anonymous_kb: backed by no file.
        programs_kb: mapped pages of program files.
        files_kb: mapped pages of other files, such as libraries.
        peak_kb: highest so far, of all together.
    """

    step: Literal["begin", "engine", "load", "destroy", "run"]
    unit: str
    stage: NonNegativeInt
    bytes: NonNegativeInt
    anonymous_kb: int
    programs_kb: int
    files_kb: int
    peak_kb: int


class MemorySample(Section):
    """One process that goes through the stages of an arm and does nothing else meanwhile.

    Attributes:
        arm: that of the stages, or a control arm, which is one stage.
        steps: in order.
    """

    arm: str
    steps: Annotated[tuple[MemoryStep, ...], Field(min_length=1)]
