"""A trained model on disk: its checkpoint carries what is needed to build the model again.

The description is JSON in the header of the safetensors file, beside the weights. It is checked
before anything is built from it, and nothing in the file is ever executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.toml_file import Section
from pipeline.data.images import Dataset, ImageSpec
from pipeline.data.normalization import Normalization
from pipeline.model.checkpoint import load_into, load_tensors, save_tensors, whole_state
from pipeline.model.family import build_model
from pipeline.model.opened import OpenedModel
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, RouteName, prefix_routes
from pipeline.model.wrapping import PICKLE_DANGER, is_pickle
from pipeline.settings import Count, Distillation, FamilyModel, SourceModel

_REMEDY = "name a model-*.safetensors that `python -m pipeline.train` wrote, or train it again"

Finite = Annotated[float, Field(allow_inf_nan=False)]
FinitePositive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Description(Section):
    """All that a model is beside its weights.

    Attributes:
        version: of this table.
        model: the ``[model]`` table of the profile.
        image_shape: channels, height, width of one image, or the shape of another tensor.
        labels: the names of the classes, in the order of the logits.
        mean, std: one a channel, of pixels between 0 and 1; see `Normalization`. None of what is
            no image.
        routes: that it was trained for; None: for any.
    """

    version: Literal[1] = 1
    model: FamilyModel | SourceModel
    image_shape: Annotated[tuple[Count, ...], Field(min_length=1)]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    mean: tuple[Finite, ...]
    std: tuple[FinitePositive, ...]
    routes: Annotated[tuple[RouteName, ...] | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _one_a_channel(self) -> Self:
        if not isinstance(self.model, SourceModel) and len(self.image_shape) != 3:
            raise ValueError(f"image_shape {list(self.image_shape)} is no image's")
        if not self.mean and not self.std:
            return self
        if not len(self.mean) == len(self.std) == self.image_shape[0]:
            raise ValueError(
                f"{self.image_shape[0]} channels, but {len(self.mean)} means and "
                f"{len(self.std)} deviations"
            )
        return self

    @classmethod
    def of(
        cls, model: FamilyModel | SourceModel, dataset: Dataset, routes: Sequence[Route] | None
    ) -> Description:
        """Describes the model that a ``[model]`` table and a data set make, trained for routes."""
        rule = dataset.normalization
        plain = rule if isinstance(rule, Normalization) else Normalization((), ())
        return cls(
            model=model,
            image_shape=dataset.image_shape,
            labels=dataset.names,
            mean=plain.mean,
            std=plain.std,
            routes=None if routes is None else tuple(str(route) for route in routes),
        )

    @property
    def spec(self) -> ImageSpec:
        """The images that this model takes."""
        plain = Normalization(self.mean, self.std) if self.mean else None
        return ImageSpec(self.image_shape[0], self.image_shape[1:], plain)

    def routes_of(self, blocks: int) -> tuple[Route, ...]:
        """Those that it was trained for, or the order of the paper where it was for any."""
        if self.routes is None:
            return prefix_routes(blocks)
        return tuple(Route.parse(name) for name in self.routes)


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Where what is trained for a profile is kept; the names follow from what it is made of.

    Attributes:
        teacher: the teacher alone, which every student of it can share.
        model: the whole model; `load_trained` reads it.
    """

    teacher: Path
    model: Path

    def trained_for(
        self, distillation: Distillation, routes: Sequence[Route] | None
    ) -> TrainingFiles:
        """The files of the model that is distilled for some routes, or for any."""
        if not distillation.depends_on_routes:
            return self
        words = "any" if routes is None else [str(route) for route in routes]
        key = fingerprint(self.model.stem, words)
        return replace(self, model=self.model.with_stem(f"model-{key[:16]}"))

    @property
    def evaluation(self) -> Path:
        """Beside this is kept what the model says along each route."""
        return self.model.with_stem(self.model.stem.replace("model", "evaluation"))


def save_trained(path: Path, model: PwlModel, description: Description) -> None:
    """Writes a checkpoint that `load_trained` reads; it appears whole or not at all."""
    save_tensors(path, whole_state(model), {"trained": description.model_dump(mode="json")})


def load_trained(path: Path) -> OpenedModel:
    """Builds the model of a checkpoint, whatever seed or profile it came from.

    Raises:
        UsageError: there is no such file, it is no checkpoint of a trained model, or only code of
            its user's could build the model: no file makes this program run code.
        IntegrityError: the weights are not those that the description asks for.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", _REMEDY)
    if is_pickle(path):
        raise UsageError(
            f"{path} is a file of torch.save or pickle: {PICKLE_DANGER}",
            "where you trust it, read it with torch.load(path, weights_only=True) in the function "
            "of a source python:FILE.py:FUNCTION (docs/own-function.md), and name that",
        )
    try:
        tensors, facts = load_tensors(path)
    except IntegrityError as error:
        raise UsageError(error.what, _REMEDY) from None
    if "trained" not in facts:
        raise UsageError(f"{path}: it does not say which model its weights belong to", _REMEDY)
    try:
        description = Description.model_validate(facts["trained"])
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the whole of it"
        raise UsageError(
            f"{path}: its description is wrong: {place}: {problem['msg']}", _REMEDY
        ) from None
    if isinstance(description.model, SourceModel):
        raise UsageError(
            f"{path}: its model comes from {description.model.source!r}, and no "
            "checkpoint makes this program run code",
            "name the profile (.toml) that it was trained from instead",
        )
    # On the meta device nothing is allocated: a description that promises a giant costs nothing.
    with torch.device("meta"):
        model = build_model(description.model, description.image_shape, len(description.labels), 0)
    load_into(model, tensors, path, assign=True)
    if odd := [name for name in description.routes or () if len(name) != model.blocks]:
        raise UsageError(
            f"{path}: its description is wrong: routes: {odd[0]} for {model.blocks} blocks", _REMEDY
        )
    labels, routes = description.labels, description.routes_of(model.blocks)
    return OpenedModel(model.eval(), description.spec, len(labels), routes, labels)
