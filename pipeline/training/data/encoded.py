"""Images as PNG or JPEG bytes, wherever they lie, and the data set that they decode to."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pipeline.errors import UsageError
from pipeline.settings import EncodedData
from pipeline.training.data.images import Dataset, ImageSet, Normalisation

_FORMATS = ("PNG", "JPEG")
#: 8 bits a channel; the wider modes would be clipped without a word.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
#: No training image is larger, but a few hundred bytes of PNG can promise gigabytes.
_MOST_PIXELS = 64_000_000
#: What Pillow raises for damaged images, by format and by where the damage is.
_DAMAGE = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One image.

    Attributes:
        data: a PNG or JPEG file.
        origin: what an error calls it: a file, or a file and a row.
    """

    data: bytes
    origin: str


@dataclass(frozen=True, slots=True)
class EncodedSet:
    """Labelled images that are fetched one by one, when they are decoded.

    Attributes:
        labels: int64 ``[n]``.
        fetch: gives image `i`.
    """

    labels: npt.NDArray[np.int64]
    fetch: Callable[[int], Encoded]

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
        settings: size, channels and bounds.
        seed: decides the order, and so what a bound leaves.

    Raises:
        UsageError: an image is damaged or of another kind, or sizes differ; the image is named.
    """
    first: dict[tuple[int, ...], str] = {}

    def decode_set(part: EncodedSet, bound: int | None, order_seed: int) -> ImageSet:
        order = np.random.default_rng(order_seed).permutation(len(part))[:bound]
        images: npt.NDArray[np.uint8] | None = None
        for place, index in enumerate(order):
            encoded = part.fetch(int(index))
            pixels = decode(encoded, settings.channels, settings.image_size)
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
        if images is None:
            raise ValueError("an encoded set is empty")
        return ImageSet(images, part.labels[order])

    found = decode_set(train, settings.train_images, seed)
    return Dataset(
        found,
        decode_set(test, settings.test_images, seed + 1),
        names,
        Normalisation.of(found.images),
    )


def decode(encoded: Encoded, channels: int, size: int | None) -> npt.NDArray[np.uint8]:
    """One image as uint8 ``[height, width, channels]``; transparency is dropped.

    Args:
        encoded: the image.
        channels: 3 for RGB, 1 for grey.
        size: pixels of both sides (bilinear, antialiased when it shrinks), or None for its own.

    Raises:
        UsageError: it is no PNG or JPEG, damaged, of more than 8 bits a channel, or absurdly large.
    """
    try:
        with Image.open(io.BytesIO(encoded.data), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise UsageError(
                    f"{encoded.origin}: {image.width}x{image.height} pixels are too many",
                    f"shrink it to at most {_MOST_PIXELS:,} pixels",
                )
            if image.mode not in _MODES:
                raise UsageError(
                    f"{encoded.origin}: its pixels are of Pillow's mode {image.mode}",
                    "convert it to 8 bits a channel",
                )
            pixels = image.convert("RGB" if channels == 3 else "L")
    except UnidentifiedImageError:
        raise UsageError(
            f"{encoded.origin}: neither a PNG nor a JPEG image", "convert or remove it"
        ) from None
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise UsageError(
            f"{encoded.origin}: a damaged image: {error}", "fetch or make it again"
        ) from None
    if size is not None and pixels.size != (size, size):
        pixels = pixels.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(pixels, dtype=np.uint8).reshape(pixels.height, pixels.width, channels)


def decoder() -> str:
    """Names what decodes, for fingerprints: another version may give other pixels of a JPEG."""
    return f"pillow {version('pillow')}"
