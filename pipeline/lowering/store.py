"""The store of lowered programs: what was lowered from the same content is not lowered again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pipeline.core.atomic_files import replacing, sha256_of, write_text
from pipeline.core.fingerprint import fingerprint
from pipeline.evaluation.parity import Parity
from pipeline.lowering.backend import Program, TensorSpec
from pipeline.lowering.graph import OperatorGraph
from pipeline.model.content import content_of, tensor_digest
from pipeline.settings import PLAIN, Precision


@dataclass(frozen=True, slots=True)
class LoweredArtifact:
    """A program that has been lowered and compared.

    Attributes:
        path: the file.
        sha256: of the file.
        bytes: its size.
        operators: how often each operator occurs in it.
        delegated: how many of these the delegate runs.
        input, output: its edges.
        parity: against eager PyTorch, on this machine.
        precision: what it computes with.
    """

    path: Path
    sha256: str
    bytes: int
    operators: Mapping[str, int]
    delegated: int
    input: TensorSpec
    output: TensorSpec
    parity: Parity
    precision: Precision = PLAIN


def content_key(captured: nn.Module, inputs: Tensor, *context: str) -> str:
    """Names what a program is made from: the graph, the weights, the shape of what it is given.

    Args:
        captured: as `capture` gives it; its operators count, and all tensors that it holds.
        inputs: example features ``[n, ...]``, of which the shape of one counts.
        context: backend, versions, options.
    """
    digest = hashlib.sha256()
    if isinstance(captured, OperatorGraph):
        # Where the operators come from in the user's network does not change what they compute; and
        # a graph's own attributes are others in every process.
        digest.update(captured.code.encode())
        for name, tensor in sorted(captured.state_dict().items()):
            digest.update(f"{name} {tensor_digest(tensor)}\0".encode())
    else:
        digest.update(content_of({"unit": captured}).key.encode())
    digest.update(f"{list(inputs.shape[1:])}\0".encode())
    digest.update("\0".join(context).encode())
    return digest.hexdigest()


def features_key(inputs: Tensor, outputs: Tensor) -> str:
    """Names what a program is compared on: features, and what eager PyTorch makes of them."""
    digest = hashlib.sha256()
    for tensor in (inputs, outputs):
        digest.update(f"{list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


class ProgramStore:
    """Programs in a folder, each beside JSON records of what it is and what comparing it found."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix

    def find(self, key: str, features: str) -> LoweredArtifact | None:
        """The program of that content, compared on those features.

        None when there is none, when its file is damaged, or when it was compared on others.
        """
        path = self._path(key)
        try:
            parity = json.loads(self._parity(key, features).read_text(encoding="utf-8"))
            return _lowered(path, _record(path), Parity(**parity))
        except _DAMAGED:
            return None

    def program(self, key: str) -> Program | None:
        """The program of that content, whatever it was compared on; None as for `find`."""
        path = self._path(key)
        try:
            record = _record(path)
            return Program(path.read_bytes(), record["operators"], record["delegated"])
        except _DAMAGED:
            return None

    def keep(
        self,
        key: str,
        program: Program,
        edges: tuple[TensorSpec, TensorSpec],
        precision: Precision = PLAIN,
    ) -> None:
        """Stores a program and its record; `program` gives it back, `find` when it is compared."""
        path = self._path(key)
        with replacing(path) as temporary:
            temporary.write_bytes(program.data)
        source, target = edges
        record = {
            "sha256": hashlib.sha256(program.data).hexdigest(),
            "bytes": len(program.data),
            "operators": program.operators,
            "delegated": program.delegated,
            "input": asdict(source),
            "output": asdict(target),
            "precision": precision,
        }
        write_text(path.with_suffix(".json"), json.dumps(record, sort_keys=True))

    def keep_parity(self, key: str, features: str, parity: Parity) -> LoweredArtifact:
        """Stores what comparing the program of a key found; a later `find` of both returns it."""
        write_text(self._parity(key, features), json.dumps(asdict(parity), sort_keys=True))
        path = self._path(key)
        return _lowered(path, _record(path), parity)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:32]}{self._suffix}"

    def _parity(self, key: str, features: str) -> Path:
        return self._folder / f"{key[:32]}-{features[:32]}.json"


class ParityStore:
    """What comparing whole stages found, by the content of their programs."""

    def __init__(self, folder: Path, context: Sequence[str]) -> None:
        """`context` is what a comparison depends on beside all that: `LoweringTarget.context`."""
        self._folder = folder
        self._context = [*context]

    def key(self, chain: Sequence[LoweredArtifact], images: Tensor, logits: Tensor) -> str:
        """Names a comparison: these programs, on these images, against these logits."""
        tensors = [
            hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
            for tensor in (images, logits)
        ]
        return fingerprint([program.sha256 for program in chain], tensors, self._context)

    def find(self, key: str) -> Parity | None:
        """The parity that was found, or None."""
        try:
            return Parity(**json.loads(self._path(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, key: str, parity: Parity) -> None:
        """Stores a parity; a later `find` of the same key returns it."""
        write_text(self._path(key), json.dumps(asdict(parity), sort_keys=True))

    def _path(self, key: str) -> Path:
        return self._folder / f"stage-{key[:32]}.json"


#: What reading a record raises where it, or the file that it is about, is not as it was written.
_DAMAGED = (OSError, ValueError, KeyError, TypeError)


def _record(path: Path) -> dict[str, Any]:
    """What is known of a program, whose file is the one that it is known of."""
    record: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if sha256_of(path) != record["sha256"]:
        raise ValueError(f"{path} is another file")
    return record


def _lowered(path: Path, record: Mapping[str, Any], parity: Parity) -> LoweredArtifact:
    source, target = record["input"], record["output"]
    return LoweredArtifact(
        path,
        record["sha256"],
        record["bytes"],
        record["operators"],
        record["delegated"],
        TensorSpec(tuple(source["shape"]), source["layout"]),
        TensorSpec(tuple(target["shape"]), target["layout"]),
        parity,
        record.get("precision", PLAIN),
    )
