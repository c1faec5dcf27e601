"""PwlModel: a teacher, a student and the converters between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.model.blocknet import BlockNet
from pipeline.model.converter import make_converter
from pipeline.model.keras_unit import parameter_count
from pipeline.model.route import Role, Route, UnitId


class PwlModel(nn.Module):
    """Two block networks whose blocks can be exchanged one by one (arXiv 2509.22319).

    The embedder comes from the teacher iff block 0 does, the classifier iff the last block does.

    Args:
        teacher, student: networks with the same number of blocks.
        encoders: per inner boundary, teacher features to student features.
        decoders: per inner boundary, student features to teacher features.
    """

    def __init__(
        self,
        teacher: BlockNet,
        student: BlockNet,
        encoders: Sequence[nn.Module],
        decoders: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        if not len(teacher) == len(student) == len(encoders) + 1 == len(decoders) + 1:
            raise ValueError(
                f"{len(teacher)} teacher blocks, {len(student)} student blocks, "
                f"{len(encoders)} encoders, {len(decoders)} decoders"
            )
        self.teacher = teacher
        self.student = student
        self.encoders = nn.ModuleList(encoders)
        self.decoders = nn.ModuleList(decoders)

    @classmethod
    def pair(cls, teacher: BlockNet, student: BlockNet, input_shape: tuple[int, ...]) -> Self:
        """Joins two networks, making the converters that their feature shapes ask for.

        Args:
            teacher: the large network.
            student: the small one.
            input_shape: channels, height, width of one image.

        Raises:
            UsageError: block counts or spatial sizes differ.
        """
        if len(teacher) != len(student):
            raise UsageError(
                f"the teacher has {len(teacher)} blocks and the student {len(student)}",
                "progressive loading swaps block for block: give both the same number",
            )
        shapes = list(
            zip(teacher.boundaries(input_shape), student.boundaries(input_shape), strict=True)
        )[:-1]
        encoders = [make_converter(t, s, index) for index, (t, s) in enumerate(shapes)]
        decoders = [make_converter(s, t, index) for index, (t, s) in enumerate(shapes)]
        return cls(teacher, student, encoders, decoders)

    @property
    def blocks(self) -> int:
        """The number of blocks, N."""
        return len(self.teacher)

    def unit(self, unit: UnitId) -> nn.Module:
        """The module of a unit, sharing its parameters with this model."""
        match unit.role:
            case Role.TEACHER | Role.TEACHER_INT8:
                return self.teacher.part(unit.index)
            case Role.STUDENT:
                return self.student.part(unit.index)
            case Role.ENCODER:
                return self.encoders[unit.index]
            case Role.DECODER:
                return self.decoders[unit.index]

    def sizes(self) -> dict[UnitId, int]:
        """Bytes of the parameters of every unit as float32; converters that do nothing have 0."""
        converters = (Role.ENCODER, Role.DECODER)
        identities = [
            UnitId(role, index)
            for role in Role
            for index in range(self.blocks - 1 if role in converters else self.blocks)
        ]
        return {identity: 4 * parameter_count(self.unit(identity)) for identity in identities}

    def units(self, route: Route) -> tuple[UnitId, ...]:
        """The units of a route in execution order; converters that do nothing are left out."""
        if len(route) != self.blocks:
            raise UsageError(f"route {route} has {len(route)} blocks, the model {self.blocks}")
        return tuple(unit for unit in route.units() if not isinstance(self.unit(unit), nn.Identity))

    def forward(self, images: Tensor, route: Route) -> Tensor:
        """Logits ``[n, classes]`` of images ``[n, channels, height, width]`` along a route."""
        features = images
        for unit in self.units(route):
            features = self.unit(unit)(features)
        return features


#: Told an untrained model and the shape of its images; raises what speaks against training it.
BeforeTraining = Callable[[PwlModel, tuple[int, ...]], None]
