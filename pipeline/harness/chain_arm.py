"""The teacher as a chain of programs that are loaded in parallel: what else an app could do.

They are those of the last stage, so that it takes no more than a line of the measurement plan:
nothing is built, packed or pushed for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.bundle.artifact import Artifact
from pipeline.bundle.control import ControlArm, Controls
from pipeline.bundle.manifest import Manifest, Stage
from pipeline.bundle.stated_score import Score
from pipeline.settings import CHAIN, Precision


@dataclass(frozen=True, slots=True)
class ChainArm:
    """A control arm of a bundle's own programs.

    Attributes:
        stage: the bundle's last one, whose programs it has, and whose golden answers.
        programs: in execution order.
        precision: of all of them.
    """

    stage: Stage
    programs: tuple[Artifact, ...]
    precision: Precision

    @property
    def name(self) -> str:
        """What results call it."""
        return CHAIN

    @property
    def route(self) -> str:
        """The variant of each block."""
        return self.stage.route.upper()

    @property
    def accuracy(self) -> Score:
        """On the whole test set."""
        return self.stage.accuracy

    @property
    def bytes(self) -> int:
        """Size of its programs."""
        return sum(program.bytes for program in self.programs)


def chain_arm(manifest: Manifest, controls: Controls) -> ChainArm | None:
    """The chain of a bundle's teacher.

    Args:
        manifest: of the bundle.
        controls: its control arms.

    Returns:
        None where the last stage is not the teacher alone, in one precision; or where the bundle,
        of an older release, has an arm of that name.
    """
    stage = manifest.stages[-1]
    programs = tuple(manifest.artifact(unit) for unit in stage.units)
    precisions = {program.precision for program in programs}
    named = any(arm.name == CHAIN for arm in controls.arms)
    if {*stage.route.upper()} != {"T"} or len(precisions) != 1 or named:
        return None
    return ChainArm(stage, programs, precisions.pop())


def measured_arms(manifest: Manifest, controls: Controls) -> tuple[ControlArm | ChainArm, ...]:
    """All arms that a bundle is measured against, as plans and results list them."""
    chain = chain_arm(manifest, controls)
    return (*controls.arms, *([chain] if chain else []))


def arm_names_of(manifest: Manifest, controls: Controls) -> tuple[str, ...]:
    """Their names."""
    return tuple(arm.name for arm in measured_arms(manifest, controls))
