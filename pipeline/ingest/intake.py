"""What a source of networks gives, on its way to a model: checked, completed and named.

See `pipeline.ingest.python` for what it may give.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress, Silent
from pipeline.core.random_state import own_random_numbers
from pipeline.data.images import ImageSpec
from pipeline.ingest.answer_shape import require_answer, require_one_answer
from pipeline.ingest.calling import called, called_student, functions_of, seeded
from pipeline.ingest.channels_last import (
    boundaries_channels_last,
    turned,
    turned_converters,
    turned_outputs,
)
from pipeline.ingest.own_parts import (
    ImageShape,
    converters_of,
    has_parts,
    image_shape_of,
    network_of,
    split_of,
)
from pipeline.ingest.probe import (
    probe_images,
    require_plain_state,
    run_module,
    run_network,
    user_code,
)
from pipeline.ingest.python import OwnModel
from pipeline.ingest.recurrence import require_no_recurrence
from pipeline.ingest.slim import slimmed
from pipeline.ingest.stated_normalization import normalization_of
from pipeline.ingest.student_candidates import ProfileAnswers, StudentCandidates
from pipeline.ingest.trainable import require_trainable
from pipeline.model.answers import answer_images, answers_of
from pipeline.model.blocknet import BlockNet
from pipeline.model.content import Content, changed, content_of
from pipeline.model.converter import MissingConverter, make_converter
from pipeline.model.opened import OpenedModel
from pipeline.model.pwl import PwlModel
from pipeline.model.route import prefix_routes
from pipeline.settings import OwnStudent, SourceModel, TaskKind, TrainingSettings

#: A function that took longer, in seconds, is not called again to see whether it repeats itself.
_PATIENCE = 30.0
#: How far a network's own forward may be from its parts, relative: as given, or as cut here.
_SAME, _CUT = 1e-3, 1e-6


def own_model(
    source: SourceModel,
    seed: int,
    training: TrainingSettings | None,
    progress: Progress,
    images: ImageShape | None = None,
    profile: ProfileAnswers | None = None,
) -> tuple[OpenedModel, Content]:
    """The model that a profile's function or library gives.

    Args:
        source: the ``[model]`` table.
        seed: what random numbers start from while the function and the checks run.
        training: the table, if the model is to be trained here.
        progress: told what is no part of the content, and what was not looked at.
        images: asked for channels, height and width where the source gives a network alone.
        profile: asked about what depends on the rest of it, where there is one.

    Returns:
        The model, which shares its parameters with what the source gave, and what its
        modules are made of as they came, and answer. Its routes are those of the paper.

    Raises:
        UsageError: there is no such function, it fails, it gives another model when it is called
            again, or its networks do not fit together; names the block and the shapes.
    """
    begin = time.monotonic()
    ingestion = _Ingestion(source, training, images, profile)
    opened, content = ingestion.read(seed, progress)
    if not functions_of(source):
        return opened, content  # files give the same every time
    if time.monotonic() - begin > _PATIENCE:
        progress.say(
            f"{source.source} takes long, so it was not called again to see whether it gives "
            "the same model; if it does not, all is made anew each time"
        )
        return opened, content
    _, again = ingestion.read(seed, Silent())
    if places := changed(content.numbers, again.numbers):
        more = len(places) - 4
        raise UsageError(
            f"{source.source} gives another model each time it is called; what differs: "
            f"{', '.join(places[:4])}" + (f" and {more} more" if more > 0 else ""),
            "torch, numpy's global functions and random are seeded by the profile: seed other "
            "generators, such as np.random.default_rng(0), and let no block count its calls",
        )
    if unstable := changed(content.rest, again.rest):
        progress.say(
            f"{source.source}: {', '.join(unstable[:4])} change at every call; they are "
            "taken to mean nothing, for the answers stay the same"
        )
    lasting = {place: rest for place, rest in content.rest.items() if place not in unstable}
    return opened, Content(content.numbers, lasting)


class _Ingestion:
    """One model on its way in."""

    def __init__(
        self,
        source: SourceModel,
        training: TrainingSettings | None,
        images: ImageShape | None,
        profile: ProfileAnswers | None,
    ) -> None:
        self._table, self._source = source, source.source
        self._images, self._profile = images, profile
        self._choose = profile.split if profile else None
        self._task: TaskKind = profile.task if profile else "classification"
        self._training = training

    def read(self, seed: int, progress: Progress) -> tuple[OpenedModel, Content]:
        """What the source gives, with random numbers of that seed, taken in."""
        with seeded(seed):
            classes = self._profile.classes if self._profile else None
            tokens = self._profile.tokens if self._profile else None
            given = called(self._table, self._images, progress, classes, tokens, self._task)
            return self._taken_in(given)

    def _taken_in(self, given: OwnModel) -> tuple[OpenedModel, Content]:
        split = split_of(self._source, given.split, self._table.split)
        shape = image_shape_of(self._source, given.image_shape)
        teacher = network_of(self._source, "teacher", given.teacher, split, shape, self._choose)
        student = self._student(given, teacher, shape, split)
        if len(teacher) != len(student):
            raise UsageError(
                f"{self._source}: the teacher has {len(teacher)} blocks and the student "
                f"{len(student)}",
                "progressive loading swaps block for block: give both the same number",
            )
        encoders = converters_of(self._source, "encoders", given.encoders, len(teacher) - 1)
        decoders = converters_of(self._source, "decoders", given.decoders, len(teacher) - 1)
        converters = nn.ModuleList(part for part in (*encoders, *decoders) if part is not None)
        parts = {"teacher": teacher, "student": student, "converters": converters}
        require_plain_state(self._source, parts)
        converters.eval()
        images = probe_images(shape)
        teacher_outputs = self._run("teacher", teacher, given.teacher, images)
        student_outputs = self._run("student", student, given.student, images)
        last = boundaries_channels_last(teacher_outputs, student_outputs, images)
        teacher, student = turned(teacher, last), turned(student, last)
        teacher_outputs, student_outputs = (
            turned_outputs(outputs, last) for outputs in (teacher_outputs, student_outputs)
        )
        encoders, decoders = turned_converters(encoders, last), turned_converters(decoders, last)
        answer = require_one_answer(self._source, teacher_outputs[-1], student_outputs[-1])
        pairs = list(enumerate(zip(teacher_outputs[:-2], student_outputs[:-2], strict=True)))
        model = PwlModel(
            teacher,
            student,
            [self._converter("encoder", i, encoders[i], t, s) for i, (t, s) in pairs],
            [self._converter("decoder", i, decoders[i], s, t) for i, (t, s) in pairs],
        ).eval()
        if self._training is not None:
            require_trainable(self._source, model, self._training, images)
        with user_code(self._source, "running its blocks"):
            answers = answers_of(model, answer_images(shape))
        content = content_of(dict(model.named_children())).with_tensors(answers)
        stated = normalization_of(self._source, given.normalization, len(images[0]))
        spec = ImageSpec(shape[0], shape[1:], stated, vocabulary=given.vocabulary)
        routes, labels = prefix_routes(model.blocks), tuple(given.labels or ())
        return OpenedModel(model, spec, answer[0], routes, labels, answer[1:]), content

    def _student(
        self,
        given: OwnModel,
        teacher: BlockNet,
        shape: tuple[int, ...],
        split: Sequence[str],
    ) -> BlockNet:
        """The student that source or profile gives, or one that is made of the teacher."""
        stated = self._table.student
        if stated is None:
            if given.student is None:
                raise UsageError(
                    f"{self._source} gives no student",
                    'say in [model] of a profile: student = { from = "teacher", width = 0.25 } or '
                    '{ from = "python:FILE.py:FUNCTION" }, or give OwnModel one',
                )
            return network_of(self._source, "student", given.student, split, shape, self._choose)
        if given.student is not None:
            what = f"{self._source} gives a student, and the profile has [model.student]"
            raise UsageError(what, "give OwnModel student=None, or leave the table out")
        if isinstance(stated, OwnStudent):
            own = called_student(stated, given.vocabulary)
            own_split = stated.split or ()
            return network_of(stated.origin, "student", own, own_split, shape, self._choose)
        if self._training is None:
            raise UsageError(
                f"{self._source}: a student that is made of the teacher has to be trained",
                "give the profile [training.distillation]",
            )
        require_no_recurrence(f"{self._source}: the teacher", teacher)
        width = stated.width
        if width == "auto":
            if self._profile is None:
                what = f'{self._source}: width = "auto" is chosen for the backends of a profile'
                raise UsageError(what, "name the profile, or give width as a share")
            with own_random_numbers():  # whether it is measured or kept
                table = StudentCandidates(self._source, teacher, shape, stated)
                width = self._profile.width(table)
        return slimmed(self._source, teacher, shape, width, stated.depth)

    def _run(self, name: str, network: BlockNet, own: object, images: Tensor) -> list[Tensor]:
        """What a network makes of images; its own forward, if it has one, has to say the same."""
        outputs = run_network(self._source, name, network, images)
        logits = outputs[-1]
        require_answer(self._source, name, logits, self._task)
        if isinstance(own, nn.Module) and type(own).forward is not nn.Module.forward:
            own.eval()
            try:
                with user_code(self._source, f"the {name}'s own forward"), torch.no_grad():
                    whole = own(images.clone())
            except UsageError as error:
                if isinstance(error.__cause__, NotImplementedError):
                    return outputs
                raise
            if not isinstance(whole, Tensor) or whole.shape != logits.shape:
                return self._differs(name, whole)
            limit = _SAME if has_parts(own) else _CUT
            if not torch.allclose(
                whole, logits, rtol=limit, atol=limit * float(logits.abs().max())
            ):
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
