"""Which model a checkpoint's configurations and tensors amount to; where they disagree, an error.

Whatever could cost time or memory is compared with the tensors that are there before anything is
built from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.data.images import ImageSpec
from pipeline.ingest.label_order import require_label_order
from pipeline.ingest.reference.checkpoint_folder import ROLES, ReferenceCheckpoint
from pipeline.ingest.reference.configs import (
    NetworkConfig,
    ResNetConfig,
    VggConfig,
    VitConfig,
    given_or_default,
)
from pipeline.ingest.reference.keys import NetworkKeys
from pipeline.settings import (
    FamilyModel,
    ResNetModel,
    ResNetSettings,
    VggModel,
    VggSettings,
    VitModel,
    VitSettings,
)

INCOMPLETE = "name a checkpoint that the reference implementation's training wrote, whole"
EXCHANGED = "correct the configurations; were teacher_config and student_config exchanged?"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A model to build.

    Attributes:
        settings: its ``[model]`` table.
        spec: the images that it takes.
        labels: names of the classes, in the order of the logits.
    """

    settings: FamilyModel
    spec: ImageSpec
    labels: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image to build it with.

        Where any size will do, it is one that strides of 2 divide to the end, so that two networks
        with other strides differ in their features' sizes.
        """
        side = max(2 ** (self.settings.blocks + 2), 4 * self.spec.smallest)
        side = min(side, 2**16)
        return (self.spec.channels, *(self.spec.size or (side, side)))


def plan_model(
    checkpoint: ReferenceCheckpoint, family: str, networks: Mapping[str, NetworkKeys]
) -> ModelPlan:
    """Reads the configurations and compares them with each other and with the tensors.

    Args:
        checkpoint: where the configurations are.
        family: ``resnet``, ``vgg`` or ``vit``.
        networks: the tensors' keys, by role.

    Raises:
        UsageError: a configuration is wrong or not supported, or the two do not fit together.
        IntegrityError: the tensors are of other sizes than a configuration says.
    """
    kind: Any = {"resnet": ResNetConfig, "vgg": VggConfig, "vit": VitConfig}[family]
    configs = {role: checkpoint.config(role, kind) for role in ROLES}
    found = {role: _network(config, networks[role], checkpoint) for role, config in configs.items()}
    (teacher, spec), (student, other) = found["teacher"], found["student"]
    try:
        settings = _pair(teacher, student)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{checkpoint.folder}: {problem}",
            "name another checkpoint, or correct its configurations",
        ) from None
    if spec != other:
        raise UsageError(
            f"{checkpoint.folder}: teacher and student take different images\n"
            f"  teacher: {spec}\n  student: {other}",
            "name another checkpoint, or correct its configurations",
        )
    return ModelPlan(settings, spec, _labels(checkpoint, configs["teacher"], configs["student"]))


NetworkSettings = ResNetSettings | VggSettings | VitSettings


def _pair(teacher: NetworkSettings, student: NetworkSettings) -> FamilyModel:
    match teacher, student:
        case ResNetSettings(), ResNetSettings():
            return ResNetModel(family="resnet", teacher=teacher, student=student)
        case VggSettings(), VggSettings():
            return VggModel(family="vgg", teacher=teacher, student=student)
        case VitSettings(), VitSettings():
            return VitModel(family="vit", teacher=teacher, student=student)
    raise ValueError((teacher, student))


def _network(
    config: ResNetConfig | VggConfig | VitConfig, keys: NetworkKeys, checkpoint: ReferenceCheckpoint
) -> tuple[NetworkSettings, ImageSpec]:
    """One network and the images that it takes."""
    there = keys.depths()
    if not there:
        raise IntegrityError(
            f"{checkpoint.weights}: the {keys.role} has no blocks",
            INCOMPLETE,
        )

    def agree(name: str, stated: object, found: object) -> None:
        if stated != found:
            raise IntegrityError(
                f"{checkpoint.config_path(keys.role)}: {name} is {_plain(stated)}, but the tensors "
                f"in {checkpoint.weights.name} say {_plain(found)}",
                EXCHANGED,
            )

    if sum(config.depths) > len(keys.shapes):
        agree("the number of layers of each block", config.depths, there)
    # Otherwise the keys tell which of the layers that are said are missing, or left over.
    match config:
        case ResNetConfig():
            return config.settings(), ImageSpec(config.num_channels, None, None)
        case VggConfig():
            agree(given_or_default(config, "hidden_sizes"), config.hidden_sizes, keys.widths())
            if channels := keys.image_channels():
                agree(given_or_default(config, "in_channels"), config.in_channels, channels)
            settings = config.settings()
            smallest = settings.smallest_image
            return settings, ImageSpec(config.in_channels, None, None, smallest=smallest)
        case VitConfig():
            height, width = config.image
            tokens = (height // config.patch) * (width // config.patch) + 1
            positions = keys.positions()
            if positions not in keys.shapes:
                raise IntegrityError(f"{checkpoint.weights}: missing {positions}", INCOMPLETE)
            found = next(iter(keys.shapes[positions][1:]), 0)
            agree("the number of tokens, by image_size and patch_size,", tokens, found)
            return config.settings(), ImageSpec(config.num_channels, config.image, None)


def _labels(
    checkpoint: ReferenceCheckpoint, teacher: NetworkConfig, student: NetworkConfig
) -> tuple[str, ...]:
    if len(teacher.labels) != len(student.labels):
        raise UsageError(
            f"{checkpoint.folder}: id2label has {len(teacher.labels)} labels in teacher_config and "
            f"{len(student.labels)} in student_config",
            "both have to know the same; correct the configurations",
        )
    require_label_order(
        teacher.labels, student.labels, f"{checkpoint.folder}: student_config", "teacher_config"
    )
    return teacher.labels


def _plain(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
