"""Students of one teacher, each slimmer than the next, of which one is to be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.random_state import own_random_numbers
from pipeline.ingest.channels_last import boundaries_channels_last, turned
from pipeline.ingest.probe import probe_images, run_network
from pipeline.ingest.slim import slimmed
from pipeline.ingest.split_candidates import MeasuredSplit
from pipeline.model.blocknet import BlockNet
from pipeline.settings import SlimStudent, TaskKind


@dataclass(frozen=True, slots=True)
class StudentCandidates:
    """Every student that a ``[model.student]`` table may mean with ``width = "auto"``.

    Attributes:
        source: how errors call the teacher's source.
        teacher: in eval mode.
        shape: of one input.
        table: the table.
    """

    source: str
    teacher: BlockNet
    shape: tuple[int, ...]
    table: SlimStudent

    def student(self, width: float) -> BlockNet:
        """One of them as it would ship, its weights random. The caller's random numbers stay.

        Raises:
            UsageError: the teacher cannot be made that slim.
        """
        images = probe_images(self.shape)
        with own_random_numbers(0):
            student = slimmed(self.source, self.teacher, self.shape, width, self.table.depth)
            teachers = run_network(self.source, "teacher", self.teacher, images)
            outputs = run_network(self.source, "student", student, images)
            return turned(student, boundaries_channels_last(teachers, outputs, images)).eval()


@dataclass(frozen=True, slots=True)
class ProfileAnswers:
    """What a profile is asked about its model on the way in.

    Attributes:
        classes: the number of labels, where the teacher's head is replaced.
        tokens: how many different ones the data has, if it has any, where a network is given alone.
        width: the share of the channels that a student keeps, where a budget decides.
        split: the submodules that blocks begin with, where load times decide.
        task: what its networks answer.
    """

    classes: Callable[[], int]
    tokens: Callable[[], int | None]
    width: Callable[[StudentCandidates], float]
    split: MeasuredSplit
    task: TaskKind = "classification"
