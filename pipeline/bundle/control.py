"""control.json: what a bundle is measured against. They stay beside it, unshipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

from pipeline.bundle.artifact import Deviation, FileEntry, Name, Sha256
from pipeline.bundle.manifest import SCHEMA_VERSION
from pipeline.bundle.stated_score import Score
from pipeline.core.toml_file import Section
from pipeline.model.route import RouteName
from pipeline.settings import Precision


class ControlArm(Section):
    """A whole network as one program.

    Attributes:
        name: ``student``, ``teacher``, or as the profile calls it.
        route: the variant of each block.
        precision: of the program.
        program: its file.
        golden: the logits that it must give to the bundle's golden inputs, float32 little endian
            ``[images, classes]``.
        parity: of the program against these, on the machine that built it.
        accuracy: on the whole test set: of eager PyTorch along the route, or of the program itself,
            on the machine that built it, where it is quantized.
    """

    name: Name
    route: RouteName
    precision: Precision
    program: FileEntry
    golden: FileEntry
    parity: Deviation
    accuracy: Score

    @property
    def bytes(self) -> int:
        """Size of its program."""
        return self.program.bytes


class Controls(Section):
    """The control arms of one bundle. `bundle` is the id of its manifest."""

    schema_version: Literal[2] = SCHEMA_VERSION
    bundle: Sha256
    arms: tuple[ControlArm, ...]

    def to_json(self) -> str:
        """The text of control.json."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"

    def files(self) -> Iterator[FileEntry]:
        """Every file that control.json names."""
        for arm in self.arms:
            yield arm.program
            yield arm.golden
