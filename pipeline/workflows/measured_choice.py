"""What was chosen by measuring, remembered in a cache: with the same cache, it stays the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from pipeline.core.atomic_files import write_text
from pipeline.core.fingerprint import fingerprint, machine_kind
from pipeline.lowering.lowering_target import LoweringTarget

if TYPE_CHECKING:  # torch takes seconds, and an unchanged build needs none of it
    from torch import Tensor, nn

    from pipeline.model.blocknet import BlockNet

_Choice = TypeVar("_Choice", bound=BaseModel)


def remembered(
    folder: Path, key: str, kind: type[_Choice], measured: Callable[[], _Choice]
) -> _Choice:
    """The choice of a key, which is measured and written down where none is kept.

    Args:
        folder: of choices of this kind, in the cache.
        key: of all that it depends on.
        kind: what is kept.
        measured: makes it.
    """
    place = folder / f"{key[:32]}.json"
    try:
        return kind.model_validate_json(place.read_bytes())
    except (OSError, ValueError):
        choice = measured()
    write_text(place, json.dumps(choice.model_dump(mode="json"), sort_keys=True))
    return choice


def key_of_network(
    name: str,
    network: BlockNet,
    shape: Sequence[int],
    what: Sequence[object],
    targets: Sequence[LoweringTarget],
) -> str:
    """The key of what is chosen for a network: what it computes, for what, and on what machine.

    Args:
        name: how its tensors and answers are called.
        network: by its weights and its answers.
        shape: of its images, without a batch.
        what: else is asked for.
        targets: that its parts are lowered for, to be measured.
    """
    from pipeline.model.answers import answer_images, network_answers, one_thread

    with one_thread():
        answers = network_answers(name, network, answer_images(tuple(shape)))
    return key_of_answers(name, network, answers, [*what, [*shape]], targets)


def key_of_answers(
    name: str,
    network: nn.Module,
    answers: Mapping[str, Tensor],
    what: Sequence[object],
    targets: Sequence[LoweringTarget],
) -> str:
    """The same of any network, with what it answers to images that never change, by place."""
    from pipeline.model.content import content_of

    return fingerprint(
        content_of({name: network}).with_tensors(answers).numbers,
        *what,
        [(target.settings.model_dump(mode="json"), dict(target.exporters)) for target in targets],
        machine_kind(),
    )
