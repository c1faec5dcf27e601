"""A checkpoint of the reference implementation as a `PwlModel`: our families, their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.progress import Progress
from pipeline.data.images import Dataset
from pipeline.ingest.label_order import require_label_order
from pipeline.ingest.preprocessor import stated_normalization
from pipeline.ingest.reference.checkpoint_family import family_of, require_root
from pipeline.ingest.reference.checkpoint_folder import ROLES, ReferenceCheckpoint
from pipeline.ingest.reference.keys import NetworkKeys, converter_key, last_converters
from pipeline.ingest.reference.model_plan import EXCHANGED, INCOMPLETE, plan_model
from pipeline.model.checkpoint import load_into, tensor_kind
from pipeline.model.family import build_model
from pipeline.model.opened import OpenedModel
from pipeline.model.route import prefix_routes

_HALF = (torch.float16, torch.bfloat16)


def read_reference(place: str, progress: Progress) -> OpenedModel:
    """The model of a checkpoint folder, or of the newest one in a folder of checkpoints.

    Args:
        place: the folder.
        progress: told which checkpoint it is and which of its weights are dead.

    Returns:
        With a normalization only where the checkpoint holds a preprocessor_config.json.

    Raises:
        UsageError: there is no checkpoint, or its configurations are wrong or not supported.
        IntegrityError: the weights are damaged, or tensors are missing, left over, or of other
            shapes than the configurations say; names their keys.
    """
    checkpoint = ReferenceCheckpoint.find(place)
    tensors = checkpoint.tensors()
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    require_root(shapes, checkpoint.weights)
    family = family_of(shapes, checkpoint.weights)
    networks = {role: NetworkKeys(role, family, shapes) for role in ROLES}
    plan = plan_model(checkpoint, family, networks)
    # On the meta device nothing is allocated: a configuration that promises a giant costs nothing.
    with torch.device("meta"):
        model = build_model(plan.settings, plan.image_shape, len(plan.labels), 0)
    expected = model.state_dict()
    keys = _keys(expected, networks)
    widths = [expected[f"{role}.classifier.linear.weight"].shape[1] for role in ROLES]
    dead = tuple(key for network in networks.values() for key in network.pooler())
    dead += last_converters(shapes, model.blocks, *widths)
    weights = {
        name: _as_expected(name, tensors[key], expected[name])
        for name, key in keys.items()
        if key in tensors
    }
    _account(checkpoint, tensors, keys, dead, weights, expected)
    load_into(model, weights, checkpoint.weights, assign=True)
    progress.say(f"{checkpoint.folder}: {family}, {model.blocks} blocks, {len(plan.labels)} labels")
    for dtype in sorted({str(tensors[key].dtype) for key in keys.values()} & set(map(str, _HALF))):
        progress.say(f"weights in {dtype.removeprefix('torch.')} are taken as float32")
    if dead:
        note = "\n  ".join(
            ["dead weights, which the reference implementation never applies:", *dead]
        )
        progress.say(note)
    spec = replace(plan.spec, normalization=stated_normalization(checkpoint.preprocessor))
    routes = prefix_routes(model.blocks)
    return OpenedModel(model.eval(), spec, len(plan.labels), routes, plan.labels)


def reference_model(place: str, dataset: Dataset, progress: Progress) -> OpenedModel:
    """The model of `read_reference`, checked against the data that it is to be evaluated on.

    Raises:
        UsageError: its images or labels are not those of the data; see `read_reference` too.
        IntegrityError: as `read_reference`.
    """
    found = read_reference(place, progress)
    spec = found.spec
    channels, height, width = dataset.image_shape
    if not spec.takes(channels, (height, width)):
        raise UsageError(
            f"{place}: {spec}; the data's images are [{channels}, {height}, {width}]",
            "set data.image_size, and data.channels where the source has it",
        )
    if len(dataset.names) != len(found.labels):
        raise UsageError(
            f"{place}: the model knows {len(found.labels)} labels (id2label), the data has "
            f"{len(dataset.names)}",
            "name the data that the model was trained for",
        )
    require_label_order(dataset.names, found.labels, f"{place}: id2label", "the data")
    return found


def _keys(names: Iterable[str], networks: Mapping[str, NetworkKeys]) -> dict[str, str]:
    """The keys of a `PwlModel`'s tensors, by name."""
    found: dict[str, str] = {}
    for role, network in networks.items():
        inner = [name.removeprefix(f"{role}.") for name in names if name.startswith(f"{role}.")]
        found |= {f"{role}.{name}": key for name, key in network.keys(inner).items()}
    return found | {name: converter_key(name) for name in names if name not in found}


def _as_expected(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    """A tensor in float32 and, for a converter's weight, in the shape that our module has.

    A converter is linear over channels: ``[out, in]`` and ``[out, in, 1, 1]`` say the same.
    """
    if tensor.dtype in _HALF:
        tensor = tensor.to(torch.float32)
    converts = name.startswith(("encoders.", "decoders.")) and name.endswith(".weight")
    if converts and tensor.shape[:2] == expected.shape[:2] and set(tensor.shape[2:]) <= {1}:
        return tensor.reshape(expected.shape)
    return tensor


def _account(
    checkpoint: ReferenceCheckpoint,
    tensors: Mapping[str, Tensor],
    keys: Mapping[str, str],
    dead: Iterable[str],
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> None:
    """Makes sure that every tensor is one of the model, or dead, and that none is missing."""
    wanted = {*keys.values(), *dead}
    problems = _shown([f"missing {key}" for key in sorted(wanted - tensors.keys())])
    problems += _shown([f"left over {key}" for key in sorted(tensors.keys() - wanted)])
    wrong = [
        f"{keys[name]} is {tensor_kind(weight)}, not {tensor_kind(expected[name])}"
        for name, weight in weights.items()
        if tensor_kind(weight) != tensor_kind(expected[name])
    ]
    problems += _shown(wrong)
    remedy = EXCHANGED if wrong else INCOMPLETE
    if not problems:
        problems = _shown(
            [
                f"{keys[name]} holds values that are not finite"
                for name, weight in weights.items()
                if not weight.isfinite().all()
            ]
        )
        remedy = "name an earlier checkpoint; in this one the training had diverged"
    if problems:
        listed = "\n  ".join(problems)
        raise IntegrityError(
            f"{checkpoint.weights} does not hold the model of its configurations:\n  {listed}",
            remedy,
        )


def _shown(problems: list[str]) -> list[str]:
    """The first of them, and how many there are besides."""
    more = len(problems) - 8
    return problems if more <= 0 else [*problems[:8], f"... and {more} more"]
