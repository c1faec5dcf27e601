"""What a user's function gives, on its way to a model: checked, completed and named.

See `pipeline.ingest.python` for what it may give.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.ingest.function import FunctionSource
from pipeline.ingest.probe import (
    probe_images,
    require_plain_state,
    require_traceable,
    run_module,
    run_network,
    theirs,
)
from pipeline.ingest.python import OwnModel
from pipeline.model.blocknet import BlockNet
from pipeline.model.converter import MissingConverter, make_converter
from pipeline.model.pwl import PwlModel
from pipeline.settings import SourceModel, TrainingSettings

#: Where a function happens to lie in memory, which some modules show.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Ingested:
    """A user's model, checked, in eval mode.

    Attributes:
        model: shares its parameters with what the function returned.
        image_shape: channels, height, width of one image.
        classes: number of logits.
        content: names the modules and weights as they came.
    """

    model: PwlModel
    image_shape: tuple[int, int, int]
    classes: int
    content: str


def own_model(source: SourceModel, seed: int, training: TrainingSettings | None) -> Ingested:
    """The model that a profile's function gives.

    Args:
        source: the ``[model]`` table.
        seed: what torch's random numbers start from while the function and the checks run.
        training: the table, if the model is to be trained here.

    Raises:
        UsageError: there is no such function, it fails, or its networks do not fit together; names
            the block and the shapes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with theirs(source.source, "the function"):
            given = FunctionSource.parse(source.place).load()()
        return _Intake(source.source, training).take(given)


class _Intake:
    """One model on its way in."""

    def __init__(self, source: str, training: TrainingSettings | None) -> None:
        self._source = source
        self._training = training

    def take(self, given: object) -> Ingested:
        if not isinstance(given, OwnModel):
            raise UsageError(
                f"{self._source} gave {type(given).__name__}",
                "return pipeline.ingest.python.OwnModel",
            )
        teacher = self._network("teacher", given.teacher)
        student = self._network("student", given.student)
        if len(teacher) != len(student):
            raise UsageError(
                f"{self._source}: the teacher has {len(teacher)} blocks and the student "
                f"{len(student)}",
                "progressive loading swaps block for block: give both the same number",
            )
        encoders = self._given("encoders", given.encoders, len(teacher) - 1)
        decoders = self._given("decoders", given.decoders, len(teacher) - 1)
        converters = nn.ModuleList(part for part in (*encoders, *decoders) if part is not None)
        parts = {"teacher": teacher, "student": student, "converters": converters}
        require_plain_state(self._source, parts)
        converters.eval()
        images = probe_images(self._image_shape(given.image_shape))
        taught = self._run("teacher", teacher, given.teacher, images)
        learned = self._run("student", student, given.student, images)
        if len(taught[-1][0]) != len(learned[-1][0]):
            raise UsageError(
                f"{self._source}: the teacher gives {len(taught[-1][0])} logits and the student "
                f"{len(learned[-1][0])}",
                "give both one logit per label",
            )
        pairs = list(enumerate(zip(taught[:-2], learned[:-2], strict=True)))
        model = PwlModel(
            teacher,
            student,
            [self._converter("encoder", i, encoders[i], t, s) for i, (t, s) in pairs],
            [self._converter("decoder", i, decoders[i], s, t) for i, (t, s) in pairs],
        ).eval()
        if self._training is not None:
            self._require_trainable(model, self._training, images)
        return Ingested(model, given.image_shape, len(taught[-1][0]), _content(model))

    def _network(self, name: str, network: object) -> BlockNet:
        blocks = self._attribute(name, network, "blocks")
        if not isinstance(blocks, Iterable) or not (listed := list(blocks)):
            raise UsageError(
                f"{self._source}: the {name} has no list of blocks", "give it at least one block"
            )
        return BlockNet(
            self._module(f"{name}'s embedder", self._attribute(name, network, "embedder")),
            [self._module(f"{name}'s block {i}", block) for i, block in enumerate(listed)],
            self._module(f"{name}'s classifier", self._attribute(name, network, "classifier")),
        ).eval()

    def _attribute(self, name: str, network: object, attribute: str) -> object:
        if (value := getattr(network, attribute, None)) is not None:
            return value
        raise UsageError(
            f"{self._source}: the {name} ({type(network).__name__}) has no {attribute}",
            "give it the attributes embedder (perhaps nn.Identity()), blocks and classifier",
        )

    def _module(self, name: str, module: object) -> nn.Module:
        if isinstance(module, nn.Module):
            return module
        raise UsageError(
            f"{self._source}: the {name} is {type(module).__name__}", "make it a torch.nn.Module"
        )

    def _given(
        self, name: str, converters: Sequence[nn.Module | None] | None, count: int
    ) -> Sequence[nn.Module | None]:
        if converters is None:
            return [None] * count
        if len(converters) != count:
            raise UsageError(
                f"{self._source}: {len(converters)} {name} for {count + 1} blocks",
                f"give {count}, one behind each block but the last, or leave {name} out",
            )
        for index, part in enumerate(converters):
            if not isinstance(part, nn.Module | None):
                raise UsageError(
                    f"{self._source}: {name}[{index}] is {type(part).__name__}",
                    "make it a torch.nn.Module or None",
                )
        return converters

    def _image_shape(self, shape: object) -> tuple[int, int, int]:
        match shape:
            case (int(channels), int(height), int(width)) if min(channels, height, width) > 0:
                return channels, height, width
        raise UsageError(
            f"{self._source}: image_shape is {shape!r}", "give (channels, height, width)"
        )

    def _run(self, name: str, network: BlockNet, own: object, images: Tensor) -> list[Tensor]:
        """What a network makes of images; its own forward, if it has one, has to say the same."""
        outputs = run_network(self._source, name, network, images)
        logits = outputs[-1]
        if logits.dim() != 2:
            raise UsageError(
                f"{self._source}: the {name}'s classifier returns {list(logits.shape)} for "
                f"{len(images)} images",
                "let it return logits [n, classes]",
            )
        if isinstance(own, nn.Module) and type(own).forward is not nn.Module.forward:
            own.eval()
            try:
                with theirs(self._source, f"the {name}'s own forward"), torch.no_grad():
                    whole = own(images.clone())
            except UsageError as error:
                if isinstance(error.__cause__, NotImplementedError):
                    return outputs
                raise
            if not isinstance(whole, Tensor) or whole.shape != logits.shape:
                return self._differs(name, whole)
            if not torch.allclose(whole, logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
                return self._differs(name, whole)
        return outputs

    def _differs(self, name: str, whole: object) -> list[Tensor]:
        got = list(whole.shape) if isinstance(whole, Tensor) else type(whole).__name__
        raise UsageError(
            f"{self._source}: the {name}'s own forward gives something else ({got}) than its "
            "embedder, blocks and classifier one after the other",
            "move what it does between them into one of them",
        )

    def _converter(
        self, kind: str, index: int, given: nn.Module | None, features: Tensor, wanted: Tensor
    ) -> nn.Module:
        source, target = tuple(features.shape[1:]), tuple(wanted.shape[1:])
        if given is not None:
            name = f"{kind} {index}"
            shape = run_module(self._source, name, given, features).shape[1:]
            if tuple(shape) != target:
                raise UsageError(
                    f"{self._source}: {name} turns {list(source)} into {list(shape)}, but block "
                    f"{index + 1} takes {list(target)}",
                    "make converters agree with the blocks around them",
                )
            return given
        if source == target:
            return nn.Identity()
        if self._training is not None:
            try:
                return make_converter(source, target, index)
            except UsageError as error:
                raise UsageError(f"{self._source}: {error.what}", error.remedy) from None
        if kind == "encoder":
            raise UsageError(
                f"{self._source}: behind block {index} the teacher's features are {list(source)} "
                f"and the student's {list(target)}, and there is no encoder between them",
                "give OwnModel the encoders that were trained with them, or a [training] table",
            )
        return MissingConverter(self._source, index)

    def _require_trainable(
        self, model: PwlModel, training: TrainingSettings, images: Tensor
    ) -> None:
        learners = {"student": model.student}
        if training.teacher is not None:
            learners["teacher"] = model.teacher
        for name, network in learners.items():
            if not any(parameter.requires_grad for parameter in network.parameters()):
                raise UsageError(
                    f"{self._source}: the {name} is to be trained, but all of it is frozen",
                    "call requires_grad_(True) on it"
                    + (", or leave [training.teacher] out" if name == "teacher" else ""),
                )
            shapes = [found.shape for found in run_network(self._source, name, network, images)]
            network.train()
            trained = run_network(self._source, f"training {name}", network, images)
            network.eval()
            if [found.shape for found in trained] != shapes:
                raise UsageError(
                    f"{self._source}: the {name} gives other shapes in training mode",
                    "let it return the same in both modes",
                )
        for name, network in (("teacher", model.teacher), ("student", model.student)):
            parts = [network.part(index) for index in range(len(network))]
            outputs = run_network(self._source, name, network, images)
            inputs = [images, *outputs[: len(parts) - 1]]
            require_traceable(self._source, f"{name} block", parts, inputs)


def _content(model: PwlModel) -> str:
    digest = hashlib.sha256(_ADDRESS.sub("", repr(model)).encode())
    for text in sorted(_forward_files(model)):
        digest.update(hashlib.sha256(text).digest())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _forward_files(model: PwlModel) -> set[bytes]:
    """The texts of the files that say what the modules compute, but for ours and torch's."""
    ours = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))
    classes = {kind for module in model.modules() for kind in type(module).__mro__}
    codes = (getattr(vars(kind).get("forward"), "__code__", None) for kind in classes)
    files = {code.co_filename for code in codes if code is not None}
    texts: set[bytes] = set()
    for file in files:
        if not file.startswith(ours):
            with suppress(OSError):  # made while the program runs, perhaps
                texts.add(Path(file).read_bytes())
    return texts
