"""A ``[model]`` table whose model comes from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationInfo,
    model_validator,
)

from pipeline.core.toml_file import Section, TextPattern, located
from pipeline.settings.normalization_settings import NormalizationSettings
from pipeline.settings.quantities import Count, Rate

SOURCE_KINDS = ("keras", "python", "reference", "timm", "transformers")
#: Kinds that give networks as they are, which are cut here, and of which students are made.
NETWORK_KINDS = ("python", "timm", "transformers")
#: Libraries whose models lie in folders, or on the hub.
LIBRARY_KINDS = ("timm", "transformers")
#: Kinds whose place is a folder; that of others is a function.
_FOLDER_KINDS = ("reference", *LIBRARY_KINDS)
_Kept = Annotated[float, Field(gt=0, le=1)]


def _listed(split: object) -> object:
    """``auto:N`` or ``auto:N:load_time`` as the only entry of a list."""
    if isinstance(split, str):
        if not re.fullmatch(r"auto:[1-9]\d*(:load_time)?", split):
            raise ValueError(
                'should be a list of submodules, or "auto:N" for N blocks of as many parameters, '
                'or "auto:N:load_time" for N that take as long to load'
            )
        return (split,)
    if isinstance(split, list | tuple) and len(split) > 1:
        for name in split:
            if str(name).startswith("auto:"):
                raise ValueError(f"{name!r} finds all blocks: write it alone, or name submodules")
    return split


def _share_or_auto(width: object) -> object:
    number = isinstance(width, int | float) and not isinstance(width, bool)
    if width == "auto" or (number and 0 < float(str(width)) <= 1):
        return width
    raise ValueError('should be a share above 0, 1 at most, or "auto"')


_Submodules = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), BeforeValidator(_listed)
]


def _located_source(source: str, info: ValidationInfo) -> str:
    """A source whose file or folder is `located`; one that names none stays as it is."""
    kind, _, place = source.partition(":")
    folder = kind in _FOLDER_KINDS
    file, colon, function = (place, "", "") if folder else place.rpartition(":")
    if not folder and not file.endswith(".py"):
        return source
    found = located(Path(file), info)
    return f"{kind}:{found}{colon}{function}" if found.exists() else source


def _portable_source(source: str) -> str:
    """A source without folders of this machine; what it holds is named by its content."""
    kind, _, place = source.partition(":")
    if kind == "reference":
        return f"{kind}:checkpoint"
    if kind in LIBRARY_KINDS and not place.startswith("/"):
        return source  # a name of the hub: of the whole world, not of this machine
    return f"{kind}:{place.rpartition('/')[2]}"


class GivenTeacher(Section):
    """What becomes of the teacher that a source gives, before ``[training.teacher]``.

    Attributes:
        head: "replace" draws its last linear layer anew, with a logit for each label of the data;
            ``[training.teacher]`` then trains it, by `head_epochs` alone at first.
    """

    head: Literal["keep", "replace"] = "keep"


class SlimStudent(Section):
    """A student made of the teacher, ``from = "teacher"``: its code with fewer channels.

    Attributes:
        origin: what it is made of; ``from`` in a profile.
        width: share of the channels that is kept, in every layer but the one that gives logits;
            "auto": the most, in parts of 32, with which the first answer stays within a budget, of
            students with random weights that are lowered before anything is trained.
        depth: share of each run of layers alike, within a block, that is kept.
        budget_bytes: of "auto": of the programs of the student; on each backend of the profile.
        budget_ms: of "auto": from the programs in memory to the first answer, on the machine that
            builds, by the backend's Python runtime. What was chosen is kept in the cache, and told
            in the manifest with its measurements: another machine or cache may choose otherwise.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    origin: Annotated[Literal["teacher"], Field(alias="from")]
    width: Annotated[_Kept | Literal["auto"], BeforeValidator(_share_or_auto)]
    depth: _Kept = 1.0
    budget_bytes: Count | None = None
    budget_ms: Rate | None = None

    @model_validator(mode="after")
    def _one_budget_for_auto(self) -> Self:
        given = [key for key in ("budget_bytes", "budget_ms") if getattr(self, key) is not None]
        if self.width == "auto" and len(given) != 1:
            raise ValueError(
                'width = "auto" needs one of budget_bytes and budget_ms'
                + (": both are given" if given else "")
            )
        if self.width != "auto" and given:
            raise ValueError(
                f'{given[0]} is for width = "auto", and width is {self.width}: leave one out'
            )
        return self


class OwnStudent(Section):
    """A student of your own for a teacher of the source, ``from = "python:FILE.py:FUNCTION"``.

    Attributes:
        origin: the function, which gives a network; ``from`` in a profile.
        split: where it has no ``embedder``, ``blocks`` and ``classifier``: as that of ``[model]``.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    origin: Annotated[
        str,
        Field(alias="from"),
        TextPattern(r"^python:.+:\w+$", 'python:MODULE:FUNCTION, or "teacher" to make one of it'),
        AfterValidator(_located_source),
        PlainSerializer(_portable_source, when_used="json"),
    ]
    split: _Submodules | None = None

    @property
    def place(self) -> str:
        """MODULE:FUNCTION."""
        return self.origin.partition(":")[2]


def _student_tag(table: object) -> str:
    """Which of the two kinds of students a table means."""
    if isinstance(table, dict):
        origin = table.get("from", table.get("origin"))
        return "own" if isinstance(origin, str) and origin != "teacher" else "slim"
    return "own" if isinstance(table, OwnStudent) else "slim"


Student = Annotated[
    Annotated[SlimStudent, Tag("slim")] | Annotated[OwnStudent, Tag("own")],
    Discriminator(_student_tag),
]


class SourceModel(Section):
    """A model that comes from elsewhere; see `pipeline.ingest`.

    Attributes:
        source: ``KIND:PLACE``. Where it is a function, MODULE may be the path of a Python file:
            ``keras:MODULE:FUNCTION`` gives trained Keras blocks, ``python:MODULE:FUNCTION`` modules
            of PyTorch, trained or to be trained here. ``reference:FOLDER`` is a checkpoint of the
            official reference implementation, or a folder of several. ``transformers:FOLDER`` is a
            network of Hugging Face's library for images as `save_pretrained` writes it, the
            teacher; ``transformers:NAME`` or ``NAME@REVISION`` one of its hub. ``timm:FOLDER`` is
            one of timm's as `save_for_hf` writes it, ``timm:NAME`` one that it knows, such as
            ``resnet18.a1_in1k``, or ``OWNER/NAME`` of the hub. A relative path is looked for beside
            the profile, then in the current folder.
        normalization: the mean and std, a channel each, that the model was trained with, where the
            source itself does not state them; the same as mean and std in ``[data]``.
        split: for ``transformers:``, ``timm:``, and for ``python:`` where networks have no
            ``embedder``, ``blocks`` and ``classifier``: the submodules that blocks begin with, in
            the order in which they run, such as ``["layer1", "layer2"]``, ``["features[0:3]",
            "features[3:6]"]`` or ``["layer1", "layer2..layer4"]``, ``"layer2.."`` to the network's
            end; or ``"auto:4"``: four blocks of about as many parameters each; or
            ``"auto:4:load_time"``: four that take about as long to load. All parts between possible
            cuts are lowered for that and loaded on the machine that builds, by the backend's Python
            runtime; of several backends the times count together. What was chosen is kept in the
            cache, and told in the manifest with its measurements.
        teacher: for ``transformers:``, ``timm:`` and ``python:``.
        student: for ``transformers:``, ``timm:``, and for ``python:`` where the function gives
            none, or a teacher alone.
    """

    source: Annotated[
        str,
        TextPattern(
            rf"^({'|'.join(SOURCE_KINDS)}):.+$",
            "keras:MODULE:FUNCTION, python:MODULE:FUNCTION, reference:FOLDER, transformers:FOLDER, "
            "timm:FOLDER, transformers:NAME or timm:NAME",
        ),
        AfterValidator(_located_source),
        PlainSerializer(_portable_source, when_used="json"),
    ]

    normalization: NormalizationSettings | None = None
    split: _Submodules | None = None
    teacher: GivenTeacher = GivenTeacher()
    student: Student | None = None

    @model_validator(mode="after")
    def _of_modules(self) -> Self:
        for key in ("split", "teacher", "student"):
            if key in self.model_fields_set and self.kind not in NETWORK_KINDS:
                raise ValueError(f"{key}: only for networks of {', '.join(NETWORK_KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """What kind of source it is."""
        return self.source.partition(":")[0]

    @property
    def place(self) -> str:
        """What follows the kind: a function or a path."""
        return self.source.partition(":")[2]

    @property
    def portable(self) -> str:
        """The source without folders of this machine, for names of what was made from it."""
        return _portable_source(self.source)

    @property
    def family(self) -> str:
        """What a manifest calls the family of the model."""
        return self.kind
