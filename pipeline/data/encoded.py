"""Images as PNG or JPEG bytes, wherever they lie, and the data set that they decode to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UsageError
from pipeline.data.decode import Decoded, Encoded, decode
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
from pipeline.settings import EncodedData


@dataclass(frozen=True, slots=True)
class EncodedSet:
    """Labeled images that are fetched one by one, when they are decoded.

    Attributes:
        labels: int64 ``[n]``.
        fetch: gives image `i`.
        label_map: of a dense task: gives the label map of image `i`, which was decoded, uint8
            ``[height, width]``; labels are then of no use.
    """

    labels: npt.NDArray[np.int64]
    fetch: Callable[[int], Encoded]
    label_map: Callable[[int, Decoded], npt.NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def joined(cls, parts: Sequence[EncodedSet]) -> EncodedSet:
        """Several sets as one, in their order."""
        ends = np.cumsum([len(part) for part in parts])

        def fetch(index: int) -> Encoded:
            place = int(np.searchsorted(ends, index, side="right"))
            return parts[place].fetch(index - (int(ends[place - 1]) if place else 0))

        return cls(np.concatenate([part.labels for part in parts]), fetch)


def decode_dataset(
    train: EncodedSet, test: EncodedSet, names: tuple[str, ...], settings: EncodedData, seed: int
) -> Dataset:
    """The data set of two encoded sets, of which only as many as are bounded get decoded.

    Args:
        train: not empty.
        test: not empty.
        names: of the labels.
        settings: size, channels, background and bounds.
        seed: decides the order, and so what a bound leaves.

    Raises:
        UsageError: an image is damaged or of another kind, or sizes differ; the image is named.
    """
    first: dict[tuple[int, ...], str] = {}
    notes: Counter[str] = Counter()
    noted: dict[str, str] = {}

    def decode_set(part: EncodedSet, bound: int | None, order_seed: int) -> ImageSet:
        order = np.random.default_rng(order_seed).permutation(len(part))[:bound]
        images: npt.NDArray[np.uint8] | None = None
        maps: list[npt.NDArray[np.uint8]] = []
        for place, index in enumerate(order):
            encoded = part.fetch(int(index))
            decoded = decode(encoded, settings)
            pixels = decoded.pixels
            for note in decoded.notes:
                notes[note] += 1
                noted.setdefault(note, encoded.origin)
            shape, origin = next(iter(first.items()), (pixels.shape, encoded.origin))
            first.setdefault(shape, origin)
            if pixels.shape != shape:
                raise UsageError(
                    f"{encoded.origin} is {pixels.shape[1]}x{pixels.shape[0]} pixels, but "
                    f"{origin} is {shape[1]}x{shape[0]}",
                    "set data.image_size, to which every image is then resized",
                )
            if images is None:
                images = np.empty((len(order), *shape), dtype=np.uint8)
            images[place] = pixels
            if part.label_map is not None:
                maps.append(part.label_map(int(index), decoded))
        if images is None:
            raise ValueError("an encoded set is empty")
        return ImageSet(images, np.stack(maps) if maps else part.labels[order])

    found = decode_set(train, settings.train_images, seed)
    apart = decode_set(test, settings.test_images, seed + 1)
    return Dataset(
        found,
        apart,
        names,
        Normalization.of(found.images),
        notes=_describe_notes(notes, noted),
    )


def decoder() -> str:
    """Names what decodes, for fingerprints: another version may give other pixels of a JPEG."""
    return f"pillow {version('pillow')}"


def _describe_notes(counts: Mapping[str, int], first: Mapping[str, str]) -> tuple[str, ...]:
    """Notes on all images of a data set, a sentence each.

    Args:
        counts: how many images each note is about.
        first: the origin of the first of them.
    """
    return tuple(
        f"{count} image(s) {note}; the first is {first[note]}" for note, count in counts.items()
    )
