"""manifest.json: everything a device, a person or a tool needs to know about a bundle.

The JSON Schema generated from these types is published as docs/manifest.schema.json. Routes, shapes
and order are data here; nothing downstream derives them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from pipeline.bundle.artifact import (
    Artifact,
    Deviation,
    Edge,
    FileEntry,
    Name,
    Sha256,
)
from pipeline.bundle.manifest_consistency import manifest_contradictions
from pipeline.bundle.output import JudgedBy, Output, metric_of_output
from pipeline.bundle.schedule import Schedule
from pipeline.bundle.split_choice import SplitChoice
from pipeline.bundle.stated_score import Score
from pipeline.bundle.student_choice import StudentChoice
from pipeline.core.toml_file import Section, SparseSection
from pipeline.data.preprocessing import Preprocessing
from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.model.route import RouteName
from pipeline.settings import BackendName, Favor, Loaders, TaskMetric

#: Raised when a reader of the version before could not use the file any more.
SCHEMA_VERSION: Literal[2] = 2


_LABEL_TYPES: dict[JudgedBy, str] = {"label": "<u2", "dense": "u1", "embedding": "<f4"}


class Stage(Section):
    """One step of progressive loading.

    Attributes:
        index: 0 is what the app starts with.
        route: the variant of each block: S, T, or t for one of the teacher in int8 that arrives in
            float32 later.
        units: ids of the artifacts in execution order.
        loads: those that the stage before did not use.
        unloads: those of the stage before that this one does not use.
        load_bytes: size of what it loads.
        accuracy: on the whole test set: of eager PyTorch, or of the programs themselves, on the
            machine that built them, where some are quantized.
        parity: of the chain of programs against eager PyTorch, on the machine that built it.
    """

    index: Annotated[int, Field(ge=0)]
    route: RouteName
    units: tuple[Name, ...]
    loads: tuple[Name, ...]
    unloads: tuple[Name, ...]
    load_bytes: Annotated[int, Field(ge=0)]
    accuracy: Score
    parity: Deviation


class InputNormalization(Section):
    """``(pixel / 255 - mean) / std`` per channel, computed in float32 in this order.

    Of other tensors ``(value - mean) / std``: one value for all, or one for each channel, the first
    axis behind the batch in PyTorch's order.
    """

    mean: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]
    std: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]


class Input(SparseSection, Edge):
    """What the first program reads, and how an image becomes it.

    Attributes:
        kind: ``image``; ``tokens``, such as those of a text; or any other ``tensor``, such as a
            sound. Tokens are floats, too.
        vocabulary: how many different tokens there are, of which the first is 0.
        preprocessing: the steps before the normalization; of images alone.
        normalization: the last step; a tensor may have none.
    """

    kind: Literal["image", "tensor", "tokens"] = "image"
    vocabulary: Annotated[int, Field(ge=1)] | None = None
    preprocessing: Preprocessing | None = None
    normalization: InputNormalization | None = None

    @model_validator(mode="after")
    def _images_are_prepared(self) -> Self:
        if self.kind != "image" and self.preprocessing is not None:
            raise ValueError(f"kind {self.kind} has no preprocessing")
        if (self.kind == "tokens") != (self.vocabulary is not None):
            raise ValueError("tokens have a vocabulary, and nothing else has")
        if self.kind == "image" and (self.preprocessing is None or self.normalization is None):
            raise ValueError("an image has preprocessing and normalization")
        return self


class Golden(SparseSection):
    """Inputs with the logits that eager PyTorch gives for them.

    Attributes:
        images: how many.
        inputs: float32 little endian ``[images, *input.shape[1:]]``.
        outputs: per stage float32 little endian ``[images, classes]``, or as `Output.edge`.
        tolerance: largest deviation, relative as in `Deviation.max_rel`, that a device may show.
        least_sqnr_db: what it may show instead where programs are quantized; as
            `Deviation.sqnr_db`.
    """

    images: Annotated[int, Field(ge=1)]
    inputs: FileEntry
    outputs: tuple[FileEntry, ...]
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    least_sqnr_db: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Evaluation(Section):
    """Images with labels, to measure accuracy on the device.

    Attributes:
        count: how many.
        images: uint8 ``[count, height, width, channels]``; where the input is no image, float32
            little endian ``[count, *input.shape[1:]]``, normalized.
        labels: uint16 little endian ``[count]``; of pixels uint8 ``[count, height, width]``, 255
            where one has none; the teacher's embeddings, float32 ``[count, width]``.
        predictions: uint16 little endian ``[stages, count]``, by what `Stage.accuracy` is of; of
            pixels uint8 ``[stages, count, height, width]``; embeddings, float32.
        correct: per stage, how many of those equal the label; empty of embeddings.
    """

    count: Annotated[int, Field(ge=1)]
    images: FileEntry
    labels: FileEntry
    predictions: FileEntry
    correct: tuple[Annotated[int, Field(ge=0)], ...]


class BackendInfo(SparseSection):
    """What wrote the programs, what can read them, and how it shall.

    `precision` is that of the networks as the profile asks for it, such as ``student int8, teacher
    fp32``, or ``student int8, teacher int8 then fp32`` where the teacher's blocks arrive twice.
    """

    name: BackendName
    exporter: str
    minimum_runtime: str
    precision: str
    threads: Annotated[int, Field(ge=1)]
    favor: Favor = "accuracy"
    loaders: Loaders = 1


class ModelInfo(SparseSection):
    """The model as a whole.

    Attributes:
        output: what it answers with, where that is not a logit for each label.
    """

    family: str
    blocks: Annotated[int, Field(ge=1)]
    labels: tuple[str, ...]
    teacher_parameters: int
    student_parameters: int
    output: Output | None = None

    @property
    def metric(self) -> TaskMetric:
        """What stages are judged by."""
        return metric_of_output(self.output)

    @property
    def judged_by(self) -> JudgedBy:
        """What is compared of an answer."""
        return "label" if self.output is None else self.output.kind

    @property
    def label_type(self) -> str:
        """What labels and predictions of evaluation files are, as numpy calls it."""
        return _LABEL_TYPES[self.judged_by]

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Of one label: ``()``, ``[height, width]`` of a map, ``[width]`` of an embedding."""
        shape = self.answer.shape
        return {"label": (), "dense": shape[1:-1], "embedding": shape[1:]}[self.judged_by]

    @property
    def answer(self) -> Edge:
        """What the last program of every stage writes."""
        if self.output is not None:
            return self.output.edge
        return Edge(shape=(1, len(self.labels)), layout="NC")


class Provenance(SparseSection):
    """What the bundle was made from. Nothing here changes between two equal builds.

    Attributes:
        profile: with its defaults; a path of the machine that built it is null, or a mere name.
        data: names the images by their content.
        versions: of the packages that took part.
        machine: abilities of the processor, on which float results depend.
        student: which one was taken where that was left to the build.
        split: where the teacher was cut where that was left to measurements.
    """

    profile: dict[str, Any]
    data: str
    versions: dict[str, str]
    machine: str
    student: StudentChoice | None = None
    split: SplitChoice | None = None


class Manifest(Section):
    """A whole bundle. `id` is the sha256 of everything else in canonical JSON.

    Attributes:
        id: names all of it.
        loading_plan: what the runtime opens; it says what artifacts and stages say here.
        warnings: what a person should look at before the model ships.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    id: Sha256
    name: Name
    model: ModelInfo
    backend: BackendInfo
    input: Input
    loading_plan: FileEntry
    artifacts: tuple[Artifact, ...]
    stages: tuple[Stage, ...]
    schedule: Schedule
    golden: Golden
    evaluation: Evaluation
    warnings: tuple[ModelWarning, ...]
    provenance: Provenance

    @classmethod
    def seal(cls, **fields: Any) -> Self:
        """A manifest whose `id` is computed from the rest."""
        draft = cls(id="0" * 64, **fields)
        return draft.model_copy(update={"id": draft.content_id()})

    def content_id(self) -> str:
        """What `id` has to be."""
        content = self.model_dump(mode="json", exclude={"id"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"

    def files(self) -> Iterator[FileEntry]:
        """Every file that the manifest names."""
        yield self.loading_plan
        yield from self.artifacts
        yield self.golden.inputs
        yield from self.golden.outputs
        yield self.evaluation.images
        yield self.evaluation.labels
        yield self.evaluation.predictions

    def artifact(self, name: str) -> Artifact:
        """The artifact with that id; `KeyError` when there is none."""
        for artifact in self.artifacts:
            if artifact.id == name:
                return artifact
        raise KeyError(name)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if problems := list(manifest_contradictions(self)):
            raise ValueError("; ".join(problems))
        return self
