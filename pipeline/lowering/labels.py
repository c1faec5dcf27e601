"""The labels that programs give to images, on this machine: accuracy as it ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.core.errors import IntegrityError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.producers import EVALUATION
from pipeline.core.work import Work
from pipeline.data.batches import batches_of_inputs
from pipeline.data.images import ImageSet
from pipeline.data.label_maps import Labels, are_embeddings
from pipeline.data.normalization import Values
from pipeline.data.tensors import InputRule
from pipeline.data.transfer import tensor_of
from pipeline.evaluation.predictions import keep_labels, kept_labels
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.pool import in_processes, processors
from pipeline.lowering.registry import backend_for
from pipeline.lowering.store import LoweredArtifact
from pipeline.lowering.worker import quiet
from pipeline.model.content import tensor_digest

#: Images of one piece of work.
_PIECE = 256


@dataclass(frozen=True, slots=True)
class ImagePiece:
    """Some images of a set that programs answer.

    Attributes:
        start: the place of the first in the set.
        images: they themselves.
        normalization: how they become inputs.
        embeds: whether answers are embeddings, and not logits.
    """

    start: int
    images: Values
    normalization: InputRule
    embeds: bool

    def labels(self, logits: Tensor) -> Tensor:
        """What is kept of answers: labels ``[n]``, label maps ``[n, h, w]``, or embeddings."""
        if self.embeds:
            return logits
        return logits.argmax(dim=1).to(torch.int32 if logits.dim() == 2 else torch.uint8)


def labels_of(
    chains: Mapping[str, Sequence[LoweredArtifact]],
    images: ImageSet,
    normalization: InputRule,
    target: LoweringTarget,
    work: Work,
) -> dict[str, Labels]:
    """The label of the largest logit for each image ``[n]``, by name of a chain of programs.

    Of a dense task it is that of each pixel ``[n, height, width]``; of embeddings, these ``[n,
    width]``.

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
    content = tensor_digest(tensor_of(images.images))
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
    embeds = are_embeddings(images.labels)
    parts = [
        ImagePiece(start, images.images[start : start + _PIECE], normalization, embeds)
        for start in range(0, len(images), _PIECE)
    ]
    calls = [(target, name, _paths(chains[name]), part) for name in pieces for part in parts]
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
    target: LoweringTarget, name: str, chain: Sequence[Path], piece: ImagePiece
) -> tuple[str, int, Tensor]:
    """Labels some images in a worker process.

    Returns:
        The name as it was given, the place of the first image, and the labels, as
        `ImagePiece.labels` gives them.

    Raises:
        IntegrityError: logits hold NaN or infinity.
    """
    torch.set_num_threads(1)
    found: list[Tensor] = []
    with quiet(name):
        programs, backend = [path.read_bytes() for path in chain], backend_for(target.settings)
        # Logits of all pixels of all images at once would be gigabytes.
        for part in batches_of_inputs(len(piece.images), piece.images.shape[1:]):
            logits = backend.run(programs, piece.normalization.apply(piece.images[part]))
            if not logits.isfinite().all():
                raise IntegrityError(
                    f"{name}: programs give NaN or infinity for some images",
                    'give its blocks "fp32" in [lowering.precision]',
                )
            found.append(piece.labels(logits))
    return name, piece.start, torch.cat(found)


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
