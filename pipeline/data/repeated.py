"""What occurs twice in a data set: places that are read as both parts, names, and inputs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset
from pipeline.data.normalization import Values

#: A smaller part of the test inputs is met among the training inputs of many published data sets.
_NOTED = 0.1


def require_apart(train: Iterable[Path], test: Iterable[Path]) -> None:
    """Refuses data whose test part is its training part, such as by a link.

    Args:
        train: files or folders that are there.
        test: the same.

    Raises:
        UsageError: one of them is read as both.
    """
    known = {_identity(path): path for path in train}
    for path in test:
        if (same := known.get(_identity(path))) is not None:
            raise UsageError(
                f"{path} is {same}: accuracy would be measured on what was learned from",
                "give the test images files of their own, none of which is trained on",
            )


def noting_repeated(dataset: Dataset) -> Dataset:
    """The same data, with a note on labels of one name and on test inputs that are trained on."""
    notes = []
    repeated = (each for each in Counter(dataset.names).items() if each[1] > 1)
    if (found := next(repeated, None)) is not None:
        name, count = found
        numbers = [index for index, each in enumerate(dataset.names) if each == name]
        shown = " and ".join(map(str, numbers[:2]))
        notes.append(
            f"{count} labels are called {name!r}, such as {shown}: nothing tells them apart in "
            "tables and apps; name them in data.labels"
        )
    known = {_content(values) for values in dataset.train.images}
    count = sum(_content(values) in known for values in dataset.test.images)
    if count > _NOTED * len(dataset.test):
        notes.append(
            f"{count:,} of {len(dataset.test):,} test {'inputs' if dataset.tensors else 'images'} "
            "are among those that are trained on: accuracy says little about others"
        )
    return replace(dataset, notes=(*dataset.notes, *notes))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _content(values: Values) -> bytes:
    return hashlib.blake2b(values.tobytes(), digest_size=16).digest()
