"""The labels that programs give to images, on this machine: accuracy as it ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pipeline.core.errors import IntegrityError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.producers import EVALUATION
from pipeline.core.work import Work
from pipeline.data.images import ImageSet
from pipeline.data.label_maps import Labels
from pipeline.data.normalization import Values
from pipeline.data.tensors import InputRule
from pipeline.evaluation.predictions import keep_labels, kept_labels
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.pool import in_processes, processors
from pipeline.lowering.registry import backend_for
from pipeline.lowering.store import LoweredArtifact
from pipeline.lowering.worker import quiet
from pipeline.model.content import tensor_digest

#: Images of one piece of work.
_PIECE = 256


def labels_of(
    chains: Mapping[str, Sequence[LoweredArtifact]],
    images: ImageSet,
    normalization: InputRule,
    target: LoweringTarget,
    work: Work,
) -> dict[str, Labels]:
    """The label of the largest logit for each image ``[n]``, by name of a chain of programs.

    Args:
        chains: programs that run one after the other, by whatever they are called.
        images: to label.
        normalization: how they become inputs.
        target: what reads the programs.
        work: how; what was found before is in its cache.

    Raises:
        IntegrityError: logits hold NaN or infinity.
    """
    if not chains:  # a float32 build hashes no test set
        return {}
    content = tensor_digest(torch.from_numpy(images.images))
    files = {
        name: _file(work.cache, chain, content, normalization, target)
        for name, chain in chains.items()
    }
    found = {
        name: row
        for name, file in files.items()
        if (row := kept_labels(file, images.labels.shape)) is not None
    }
    pieces: dict[str, dict[int, Tensor]] = {name: {} for name in chains if name not in found}
    by = normalization
    calls = [
        (target, name, start, _paths(chains[name]), images.images[start : start + _PIECE], by)
        for name in pieces
        for start in range(0, len(images), _PIECE)
    ]
    if not calls:
        return found
    with work.progress.task("label images", total=len(calls)) as task:

        def received(result: tuple[str, int, Tensor]) -> None:
            name, start, labels = result
            pieces[name][start] = labels
            task.advance(1, name)

        in_processes(label_piece, calls, work.processes or processors(), received)
    for name, labels in pieces.items():
        whole = torch.cat([labels[start] for start in sorted(labels)])
        found[name] = keep_labels(files[name], whole)
    return found


def label_piece(
    target: LoweringTarget,
    name: str,
    start: int,
    chain: Sequence[Path],
    images: Values,
    normalization: InputRule,
) -> tuple[str, int, Tensor]:
    """Labels some images in a worker process.

    Returns:
        Name and start, as they were given, and the labels, int32 ``[n]``.

    Raises:
        IntegrityError: logits hold NaN or infinity.
    """
    torch.set_num_threads(1)
    with quiet(name):
        programs = [path.read_bytes() for path in chain]
        logits = backend_for(target.settings).run(programs, normalization.apply(images))
    if not logits.isfinite().all():
        raise IntegrityError(
            f"{name}: programs give NaN or infinity for some images",
            'give its blocks "fp32" in [lowering.precision]',
        )
    return name, start, logits.argmax(dim=1).to(torch.int32)


def _paths(chain: Sequence[LoweredArtifact]) -> list[Path]:
    return [unit.path for unit in chain]


def _file(
    cache: Path,
    chain: Sequence[LoweredArtifact],
    content: str,
    normalization: InputRule,
    target: LoweringTarget,
) -> Path:
    programs = [unit.sha256 for unit in chain]
    key = fingerprint(programs, content, str(normalization), target.context(None), EVALUATION)
    return cache / "units" / f"labels-{key[:32]}.safetensors"
