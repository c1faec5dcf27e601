"""The reference recipe against the paper's formulas and its official code's choices.

Losses and optimizer steps are computed again in NumPy. What the official code does is written down
in the project's facts about training: it was compared with this recipe term by term.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.progress import Silent
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import ReferenceDistillation
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.fit import Phase, fit
from pipeline.training.pointwise import subsampled
from pipeline.training.recipes.recipe import Batch, random_mixed_route
from pipeline.training.recipes.recipe_registry import recipe_for

Array = npt.NDArray[np.float64]
BLOCKS, IMAGES, CLASSES = 3, 5, 4
LABELS = np.array([0, 3, 1, 2, 2])
SETTINGS: dict[str, Any] = {
    **{"recipe": "reference", "epochs": 1, "alpha": 0.3, "temperature": 3.0},
    **{"sync_weight": 0.7, "reconstruction_weight": 1.3, "cross_weight": 2.1},
}


def network(width: int) -> BlockNet:
    """Linear blocks on flat features of 6 numbers: simple enough to compute again by hand."""
    widths = [6, *[width] * BLOCKS]
    blocks = [nn.Linear(widths[i], widths[i + 1]) for i in range(BLOCKS)]
    return BlockNet(nn.Identity(), blocks, nn.Linear(width, CLASSES))


@pytest.fixture
def model() -> PwlModel:
    torch.manual_seed(5)
    encoders = [nn.Linear(7, 3) for _ in range(BLOCKS - 1)]
    decoders = [nn.Linear(3, 7) for _ in range(BLOCKS - 1)]
    return PwlModel(network(7), network(3), encoders, decoders)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(IMAGES, 6, generator=torch.Generator().manual_seed(1))


def as_array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.numpy().astype(np.float64)


def linear(module: nn.Module, features: Array) -> Array:
    assert isinstance(module, nn.Linear)
    weight, bias = (p.detach().numpy().astype(np.float64) for p in (module.weight, module.bias))
    return features @ weight.T + bias


def block(net: BlockNet, index: int, features: Array) -> Array:
    features = linear(net.blocks[index], features)
    return linear(net.classifier, features) if index == BLOCKS - 1 else features


def along(model: PwlModel, route: str, features: Array) -> Array:
    for index, letter in enumerate(route):
        if index and route[index - 1] != letter:
            converters = model.encoders if letter == "S" else model.decoders
            features = linear(converters[index - 1], features)
        features = block(model.student if letter == "S" else model.teacher, index, features)
    return features


def boundaries(net: BlockNet, features: Array) -> list[Array]:
    found = []
    for index in range(BLOCKS - 1):
        features = block(net, index, features)
        found.append(features)
    return found


def softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def divergence(student_outputs: Array, target: Array) -> float:
    """T² KL(teacher || network), the mean over images."""
    temperature = SETTINGS["temperature"]
    wanted, given = softmax(target / temperature), softmax(student_outputs / temperature)
    return float(temperature**2 * (wanted * (np.log(wanted) - np.log(given))).sum(axis=1).mean())


def distance(left: Array, right: Array) -> float:
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosine = (left * right).sum(axis=1) / norms
    return float(((left - right) ** 2).mean() + (1 - cosine).mean())


def cross_entropy(logits: Array) -> float:
    return float(-np.log(softmax(logits)[np.arange(IMAGES), LABELS]).mean())


def expected(
    model: PwlModel, images: Tensor, mixed: list[str], *, labels: bool = False
) -> dict[str, float]:
    """The five terms, cross entropy and divergence of the student as one.

    `labels`: whether the mixed networks learn these, too.
    """
    inputs = images.numpy().astype(np.float64)
    target = along(model, "TTT", inputs)
    alpha = SETTINGS["alpha"]

    def both(logits: Array) -> float:
        return alpha * cross_entropy(logits) + (1 - alpha) * divergence(logits, target)

    sync, reconstruction = [], []
    pairs = zip(boundaries(model.student, inputs), boundaries(model.teacher, inputs), strict=True)
    for index, (student, teacher) in enumerate(pairs):
        encode = lambda x, i=index: linear(model.encoders[i], x)  # noqa: E731
        decode = lambda x, i=index: linear(model.decoders[i], x)  # noqa: E731
        sync.append(distance(student, encode(teacher)) + distance(teacher, decode(student)))
        reconstruction.append(
            distance(teacher, decode(encode(teacher))) + distance(student, encode(decode(student)))
        )
    crossing = [along(model, route, inputs) for route in mixed]
    cross = np.mean([both(logits) if labels else divergence(logits, target) for logits in crossing])
    return {
        "student": both(along(model, "SSS", inputs)),
        "sync": SETTINGS["sync_weight"] * float(np.mean(sync)),
        "recon": SETTINGS["reconstruction_weight"] * float(np.mean(reconstruction)),
        "cross": SETTINGS["cross_weight"] * float(cross),
    }


def computed(
    model: PwlModel,
    images: Tensor,
    cross: str,
    seed: int,
    routes: Sequence[Route] | None = prefix_routes(BLOCKS),
) -> Mapping[str, Tensor]:
    recipe = recipe_for(ReferenceDistillation.model_validate({**SETTINGS, "cross": cross}), routes)
    teacher_outputs: list[Tensor] = []
    features = images
    with torch.no_grad():
        for index in range(BLOCKS):
            features = model.teacher.part(index)(features)
            teacher_outputs.append(features)
    batch = Batch(images, torch.from_numpy(LABELS), teacher_outputs)
    return recipe.loss(model, batch, torch.Generator().manual_seed(seed))


def drawn(seed: int) -> str:
    return str(random_mixed_route(BLOCKS, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("seed", range(4))
def test_with_one_random_route_every_term_is_that_of_the_paper(
    model: PwlModel, images: Tensor, seed: int
) -> None:
    terms = computed(model, images, "random", seed)
    wanted = expected(model, images, [drawn(seed)])
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        wanted, rel=1e-4, abs=1e-6
    )


def test_with_all_routes_each_prefix_route_learns_labels_and_teacher_and_their_mean_counts(
    model: PwlModel, images: Tensor
) -> None:
    terms = computed(model, images, "all", 0)
    wanted = expected(model, images, ["TSS", "TTS"], labels=True)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        wanted, rel=1e-4, abs=1e-6
    )


def test_all_routes_of_a_model_that_serves_any_are_as_many_random_ones(
    model: PwlModel, images: Tensor
) -> None:
    generator = torch.Generator().manual_seed(3)
    routes = {str(random_mixed_route(BLOCKS, generator)) for _ in range(BLOCKS - 1)}
    assert len(routes) == BLOCKS - 1
    terms = computed(model, images, "all", 3, routes=None)
    wanted = expected(model, images, sorted(routes), labels=True)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        wanted, rel=1e-4, abs=1e-6
    )


#: The probability of every mixed route of four blocks in the official code.
OFFICIAL = {
    0.1224: "TSSS TTTS STTT SSST",
    0.1146: "TTSS SSTT",
    0.0391: "TSTT TTST STSS SSTS",
    0.0313: "STTS STST TSTS TSST",
}


def shares(blocks: int, draws: int = 20_000) -> dict[str, float]:
    """How often each route is drawn."""
    generator = torch.Generator().manual_seed(0)
    found = Counter(str(random_mixed_route(blocks, generator)) for _ in range(draws))
    return {route: count / draws for route, count in found.items()}


def test_mixed_routes_of_four_blocks_are_drawn_as_often_as_by_the_official_code() -> None:
    wanted = {route: share for share, routes in OFFICIAL.items() for route in routes.split()}
    assert sum(wanted.values()) == pytest.approx(1, abs=1e-3)
    # Five standard deviations of the most frequent one are 0.0116.
    assert shares(4) == pytest.approx(wanted, abs=0.012)


@pytest.mark.parametrize(("blocks", "share"), [(4, 0.359), (6, 0.292)])
def test_prefix_routes_are_drawn_as_often_as_by_the_official_code(
    blocks: int, share: float
) -> None:
    found = shares(blocks)
    prefixes = [str(route) for route in prefix_routes(blocks) if route.mixed]
    assert sum(found[route] for route in prefixes) == pytest.approx(share, abs=0.017)


def test_two_blocks_have_their_two_mixed_routes() -> None:
    assert shares(2, 2000) == pytest.approx({"TS": 0.5, "ST": 0.5}, abs=0.06)


def test_the_routes_that_are_drawn_here_differ() -> None:
    assert len({drawn(seed) for seed in range(4)}) > 1
    assert all(0 < str(Route.parse(drawn(seed))).count("T") < BLOCKS for seed in range(4))


def test_converters_learn_at_their_share_of_the_rate(model: PwlModel) -> None:
    recipe = recipe_for(ReferenceDistillation.model_validate(SETTINGS), None)
    student, converters = recipe.trainable(model).rates
    assert student[1] == 1.0
    assert {*student[0]} == {*model.student.parameters()}
    assert converters[1] == 0.2
    assert {*converters[0]} == {*model.encoders.parameters(), *model.decoders.parameters()}


def test_the_default_weights_are_the_numbers_of_the_paper() -> None:
    settings = ReferenceDistillation(recipe="reference", epochs=1)
    assert settings.alpha == 0.4
    assert settings.temperature == 2.0
    assert (settings.sync_weight, settings.reconstruction_weight, settings.cross_weight) == (
        1,
        1,
        2,
    )
    assert settings.converter_rate_scale == 0.2
    assert (settings.momentum, settings.weight_decay) == (0.9, 5e-4)
    assert (settings.cross, settings.schedule, settings.nesterov) == ("random", "cosine", False)


def test_the_defaults_are_the_choices_of_the_official_code() -> None:
    settings = ReferenceDistillation(recipe="reference", epochs=1)
    assert (settings.learning_rate, settings.batch_size) == (0.05, 128)
    assert (settings.gradient_norm, settings.cosine_floor, settings.drop_last) == (1, 1e-5, False)
    assert settings.initial_weights == "normal"


def test_three_steps_with_the_defaults_are_those_of_the_official_optimizer(
    model: PwlModel, images: Tensor, tmp_path: Path
) -> None:
    """Gradients by autograd, as the loss above; clipping, decay, momentum, cosine in NumPy."""
    settings = ReferenceDistillation.model_validate(
        {**SETTINGS, "epochs": 3, "learning_rate": 0.05, "cross": "all"}
    )
    twin = deepcopy(model)
    labels = torch.from_numpy(LABELS)
    # Five images do not fill a batch of 128: each epoch is one step on all of them.
    distill(
        *(model, Examples(images, labels), prefix_routes(BLOCKS), settings),
        TrainingRun(0, tmp_path / "c", Silent()),
    )
    converters = [*twin.encoders.parameters(), *twin.decoders.parameters()]
    trained = [*twin.student.parameters(), *converters]
    velocity = [np.zeros(parameter.shape) for parameter in trained]
    for step in range(3):
        twin.zero_grad()
        with subsampled(twin):  # as `fit` does: else this processor may write past its memory
            torch.stack(list(computed(twin, images, "all", 0).values())).sum().backward()
        gradients = [as_array(parameter.grad) for parameter in trained]
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        assert norm > 2, "else clipping would change nothing"
        for index, parameter in enumerate(trained):
            highest = 0.05 if index < len(trained) - len(converters) else 0.01
            rate = 1e-5 + (highest - 1e-5) * (1 + np.cos(np.pi * step / 3)) / 2
            value = as_array(parameter.detach())
            velocity[index] = 0.9 * velocity[index] + gradients[index] / norm + 5e-4 * value
            parameter.data = torch.tensor(value - rate * velocity[index], dtype=torch.float32)
    for name, parameter in model.named_parameters():
        assert as_array(parameter.detach()) == pytest.approx(
            as_array(twin.get_parameter(name).detach()), rel=1e-4, abs=1e-6
        ), name


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_that_of_the_settings(nesterov: bool, tmp_path: Any) -> None:
    """Two steps on a constant gradient, by hand; the reference recipe's own default is plain."""
    settings = ReferenceDistillation.model_validate(
        {**SETTINGS, "epochs": 2, "batch_size": 4, "learning_rate": 0.1}
        | {"momentum": 0.7, "weight_decay": 0.01, "gradient_norm": 0, "min_learning_rate": 0}
        | ({"nesterov": True} if nesterov else {})
    )
    weight, converter = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))
    module = nn.ParameterList([weight, converter])
    step: Callable[..., Mapping[str, Tensor]] = lambda *_: {"loss": weight + converter}  # noqa: E731
    groups = [([weight], 1.0), ([converter], settings.converter_rate_scale)]
    phase = Phase("test", "test", module, groups, 4, 0, tmp_path / "checkpoint")
    fit(phase, settings, step, Silent())
    for found, scale in ((weight, 1.0), (converter, 0.2)):
        value, velocity = 1.0, 0.0
        for rate in (0.1 * scale, 0.05 * scale):  # a cosine over two steps
            gradient = 1.0 + 0.01 * value
            velocity = 0.7 * velocity + gradient
            value -= rate * (gradient + 0.7 * velocity if nesterov else velocity)
        assert found.item() == pytest.approx(value, rel=1e-6)
