"""The model of a profile as its ``[model]`` table gives it. Quick to import."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.producers import INGEST
from pipeline.core.progress import Progress
from pipeline.ingest.function import FunctionSource
from pipeline.ingest.label_order import require_label_order
from pipeline.settings import Settings, SourceModel, TaskKind
from pipeline.workflows.profile_settings import noting_resizing

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from pipeline.bundle.split_choice import SplitChoice
    from pipeline.bundle.student_choice import StudentChoice
    from pipeline.core.work import Work
    from pipeline.data.images import Dataset
    from pipeline.ingest.split_candidates import SplitCandidates
    from pipeline.ingest.student_candidates import StudentCandidates
    from pipeline.model.content import Content
    from pipeline.model.opened import OpenedModel
    from pipeline.model.pwl import PwlModel
    from pipeline.workflows.load_time_splits import LoadTimeSplits


class ModelSource:
    """What a profile's ``[model]`` table gives before any training here.

    Data and model are read when they are first asked for, and not again.

    Args:
        settings: the profile, with all backends that bundles of the model are built for.
        progress: told everything that takes time.
        work: how students are lowered where a budget decides between them.
    """

    def __init__(self, settings: Settings, progress: Progress, work: Work | None = None) -> None:
        self.backends = settings.lowering.backend
        self._settings = settings
        self.progress = progress
        self._work = work
        self._student: StudentChoice | None = None

    def content(self) -> str:
        """Changes with what the source gives; empty for a model that is made and trained here.

        A function is asked: no text of it tells what it reads, and what its modules compute.

        Raises:
            UsageError: there is no such source, or what it gives does not fit together.
        """
        source = self._settings.model
        if not isinstance(source, SourceModel):
            return ""
        if source.kind == "reference":
            from pipeline.ingest.reference.checkpoint_folder import ReferenceCheckpoint

            return fingerprint(INGEST, ReferenceCheckpoint.find(source.place).fingerprint())
        if source.kind == "keras":
            from pipeline.ingest.keras import keras_content

            text = FunctionSource.parse(source.place).fingerprint()
            return fingerprint(INGEST, text, keras_content(self._keras))
        from pipeline.ingest.calling import functions_of

        opened, content = self._own
        texts = (function.fingerprint() for function in functions_of(source))
        return fingerprint(INGEST, *texts, content.key, str(opened.spec.normalization))

    @property
    def model(self) -> PwlModel:
        """Initialized; its teacher, or all of it, may be trained already.

        Raises:
            UsageError: data and source do not fit together, or one of them is not there.
        """
        return self._checked[0]

    @property
    def dataset(self) -> Dataset:
        """Of the profile, normalized as the model's source states.

        Raises:
            UsageError: as for `model`.
        """
        return self._checked[1]

    def content_on_data(self) -> str:
        """Changes with what the model was made from beside the profile, as `content`, and with how
        its source has the data normalized.

        Raises:
            UsageError: as for `model`.
        """
        if not isinstance(self._settings.model, SourceModel):
            return ""
        used = str(self.dataset.normalization) if self.dataset.stated_by else ""
        return fingerprint(self.content(), used)

    @cached_property
    def _checked(self) -> tuple[PwlModel, Dataset]:
        """The model, checked against the data of the profile, and these."""
        settings, dataset = self._settings, self._dataset
        if settings.task.kind == "embedding":
            from pipeline.evaluation.teacher_answers import labeled_by
            from pipeline.workflows.training_cache import answers_file

            model, dataset = self._read(settings, dataset)
            keep = None
            if self._work is not None:
                keep = answers_file(settings, self._work.cache, self.content(), dataset)
            return model, labeled_by(model.teacher, dataset, keep, self.progress)
        if settings.training is not None:
            return self._read(settings, dataset)
        with self.progress.task(f"{settings.model.family} model", total=1) as task:
            found = self._read(settings, dataset)
            task.advance(1)
        return found

    def _read(self, settings: Settings, dataset: Dataset) -> tuple[PwlModel, Dataset]:
        if isinstance(settings.model, SourceModel):
            return self._sourced(settings.model, dataset)
        from pipeline.training.initial import initial_model

        shape, classes = dataset.image_shape, len(dataset.names)
        made = initial_model(settings.model, settings.training, shape, classes, settings.seed)
        return made, dataset

    def _sourced(self, source: SourceModel, dataset: Dataset) -> tuple[PwlModel, Dataset]:
        """The model of a source, in eval mode, and the data normalized as somebody states."""
        from pipeline.ingest.stated_normalization import normalized

        dataset = self._stated_by_profile(source, dataset)
        match source.kind:
            case "keras":
                return self._keras, dataset
            case "python" | "timm" | "transformers":
                opened, _ = self._own
                _require_fit(source, opened, dataset, self._settings.task.kind)
                dataset = noting_resizing(dataset, self._settings)
            case "reference":
                from pipeline.ingest.reference.reference_model import reference_model

                opened = reference_model(source.place, dataset, self.progress)
            case _:
                raise ValueError(source.kind)
        if (stated := opened.spec.normalization) is not None:
            dataset = normalized(dataset, stated, source, by="model")
        return opened.model, dataset

    def _stated_by_profile(self, source: SourceModel, dataset: Dataset) -> Dataset:
        """The data, normalized as the ``[model]`` table says if it does."""
        from pipeline.data.normalization import Normalization
        from pipeline.ingest.stated_normalization import normalized

        if source.normalization is None:
            return dataset
        stated = Normalization(source.normalization.mean, source.normalization.std)
        return normalized(dataset, stated, source, by="profile")

    @cached_property
    def _own(self) -> tuple[OpenedModel, Content]:
        from pipeline.ingest.intake import own_model
        from pipeline.ingest.student_candidates import ProfileAnswers

        settings = self._settings
        assert isinstance(settings.model, SourceModel)
        return own_model(
            settings.model,
            settings.seed,
            settings.training,
            self.progress,
            lambda: self._dataset.image_shape,
            ProfileAnswers(
                lambda: len(self._dataset.names),
                lambda: self._dataset.vocabulary,
                self._width,
                self._split,
                settings.task.kind,
            ),
        )

    def _width(self, candidates: StudentCandidates) -> float:
        """The width of a student within the budget of the profile."""
        from pipeline.workflows.student_width import StudentWidths

        if self._work is None:
            raise ValueError("a student's width is chosen by lowering, and nobody said how")
        widths = StudentWidths(self._settings, self._work)
        width = widths.choose(candidates)
        self._student = widths.choice
        return width

    def _split(self, candidates: SplitCandidates) -> tuple[str, ...]:
        """The cuts of a network into blocks that take about as long to load."""
        return self._load_times.choose(candidates)

    @cached_property
    def _load_times(self) -> LoadTimeSplits:
        from pipeline.workflows.load_time_splits import LoadTimeSplits

        if self._work is None:
            raise ValueError("cuts are chosen by lowering, and nobody said how")
        return LoadTimeSplits(self._settings, self._work)

    def split_choice(self) -> SplitChoice | None:
        """Where the teacher was cut where that was left to measurements.

        Raises:
            UsageError: as for `content`.
        """
        self.content()
        return self._load_times.choices.get("teacher") if self._work else None

    def student_choice(self) -> StudentChoice | None:
        """Which student was taken where that was left to the build.

        Raises:
            UsageError: as for `content`.
        """
        self.content()
        return self._student

    @cached_property
    def _dataset(self) -> Dataset:
        from pipeline.data.source import load_dataset

        settings = self._settings
        dataset = load_dataset(
            settings.data, settings.seed, settings.schedule.held_out, settings.task
        )
        if isinstance(settings.model, SourceModel) and settings.model.kind != "python":
            dataset.require_images(settings.model.source)
        return dataset

    @cached_property
    def _keras(self) -> PwlModel:
        from pipeline.ingest.keras import keras_model

        source = self._settings.model
        assert isinstance(source, SourceModel)
        dataset = self._stated_by_profile(source, self._dataset)
        with self.progress.task("keras model", total=1) as task:
            model = keras_model(source, dataset)
            task.advance(1)
        return model


def _require_fit(
    source: SourceModel, opened: OpenedModel, dataset: Dataset, task: TaskKind
) -> None:
    from pipeline.ingest.tokens import require_vocabulary

    shape, made = dataset.image_shape, (opened.spec.channels, *(opened.spec.size or ()))
    if not opened.spec.takes(shape[0], shape[1:]):
        what = f"{source.source} is made for inputs {[*made]}, the data has {[*shape]}"
        axes = " (channels, height, width)" if len(shape) == 3 else ""
        raise UsageError(what + axes, "correct image_shape there, or image_size in [data]")
    require_vocabulary(source.source, opened.spec.vocabulary, dataset.vocabulary)
    if task == "embedding":
        return
    if opened.classes != len(dataset.names):
        raise UsageError(
            f"{source.source}: the classifiers give {opened.classes} logits, the data has "
            f"{len(dataset.names)} labels",
            "name data of the labels that it was trained for, or give it a head for these: "
            'teacher = { head = "replace" } in [model], and [training.teacher]',
        )
    if opened.map_size != dataset.map_size:
        sizes = (" x ".join(map(str, size)) for size in (opened.map_size, dataset.map_size))
        raise UsageError(
            "{}: the classifiers give maps of {} pixels, the label maps of the data are {}".format(
                source.source, *sizes
            ),
            "let the classifier resize its logits to them (nn.Upsample), or give label maps of "
            "that size",
        )
    if opened.labels:
        require_label_order(dataset.names, opened.labels, source.source, "the data")
