"""What an arm's memory is made of when it is at its highest.

Of the whole, what no file backs is told apart by when it came: loading a program brings its weights
as the library packs them, and what else it keeps of it; its first inference brings the workspace,
whose pages nobody has touched before. Of mapped files, programs are told apart by their names.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.harness.memory_sample import MemorySample, MemoryStep


@dataclass(frozen=True, slots=True)
class Peak:
    """The parts of the highest resident memory of a process, in kB.

    Attributes:
        weights: what loading the programs added that were there then, packed weights above all.
        workspaces: what their first inferences added.
        mappings: mapped pages of program files, out of which weights are packed or used in place.
        rest: everything else: the program itself and its libraries, their heap, what allocators
            keep of what was given back, and what was only needed for a moment while loading.
    """

    weights: int
    workspaces: int
    mappings: int
    rest: int

    @property
    def whole(self) -> int:
        """All together."""
        return self.weights + self.workspaces + self.mappings + self.rest


def peak_of(sample: MemorySample) -> Peak | None:
    """The parts of a process's memory in the step in which it was highest.

    A program is packed out of its mapped file, whose pages are given back when that is done: what
    was resident above the end of the step counts as mapped, up to all that the file may have had
    resident; more than that is part of the rest.

    None where the device does not say.
    """
    resident = [(step.anonymous_kb, step.programs_kb, step.files_kb) for step in sample.steps]
    if min(min(each) for each in resident) < 0 or min(step.peak_kb for step in sample.steps) <= 0:
        return None
    highest = max(step.peak_kb for step in sample.steps)
    weights: dict[str, int] = {}
    workspaces: dict[str, int] = {}
    before = sample.steps[0]
    for step in sample.steps:
        added = step.anonymous_kb - before.anonymous_kb
        if step.step == "load":
            weights[step.unit] = weights.get(step.unit, 0) + added
        elif step.step == "run":
            workspaces[step.unit] = workspaces.get(step.unit, 0) + added
        elif step.step == "destroy":
            weights.pop(step.unit, None)
            workspaces.pop(step.unit, None)
        if step.peak_kb == highest:
            break
        before = step
    packed, touched, mapped = sum(weights.values()), sum(workspaces.values()), _mapped(step)
    return Peak(packed, touched, mapped, highest - packed - touched - mapped)


def _mapped(step: MemoryStep) -> int:
    """Mapped pages of programs when memory was highest, in this step."""
    after = step.anonymous_kb + step.programs_kb + step.files_kb
    passing = max(0, step.peak_kb - after)
    return step.programs_kb + min(passing, step.bytes // 1024)
