"""One PNG or JPEG image as pixels: upright, in sRGB, opaque, in the channels of the profile."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from pipeline.core.errors import UsageError
from pipeline.settings import EncodedData, Resizing

_FORMATS = ("PNG", "JPEG")
#: 8 bits a channel; the wider modes would be clipped without a word.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
#: No training image is larger, but a few hundred bytes of PNG can promise gigabytes.
_MOST_PIXELS = 64_000_000
_SHRINK = f"shrink it to at most {_MOST_PIXELS:,} pixels"
#: What Pillow raises for damaged images, by format and by where the damage is.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    KeyError,
    EOFError,
    struct.error,
    zlib.error,
)
_EXIF_DAMAGE = (*DAMAGE, TypeError, OverflowError)

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

_ORIENTATION = 0x0112
#: What turns an image upright, by its orientation (EXIF 2.32, tag 274); 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: Notes on images that could not be taken quite as they are.
ANIMATED = "are animated: the first frame of each is used"
DAMAGED_EXIF = "have damaged EXIF data: which way is up may be lost"
NO_PROFILE = "have an ICC profile that cannot be applied: their values are taken as sRGB"


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
class Decoded:
    """Pixels, and what had to be left away for them.

    Attributes:
        pixels: uint8 ``[height, width, channels]``.
        notes: some of `ANIMATED`, `DAMAGED_EXIF` and `NO_PROFILE`.
        size: width and height before it was resized.
        turned: whether it lies otherwise in its file.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    turned: bool = False


def decode(encoded: Encoded, settings: EncodedData) -> Decoded:
    """One image: its first frame, turned upright, in sRGB, on the background of the profile.

    It is resized at last, and its middle cut out, where the profile gives a size.

    Args:
        encoded: the image.
        settings: channels, size and background.

    Raises:
        UsageError: it is no PNG or JPEG, damaged, of more than 8 bits a channel, or absurdly large.
    """
    notes: list[str] = []
    try:
        with _noting(notes), Image.open(io.BytesIO(encoded.data), formats=_FORMATS) as image:
            _require_readable(image, encoded.origin)
            image.load()  # a PNG may hold its orientation behind its pixels
            if image.format == "PNG" and _frames(image) > 1:
                notes.append(ANIMATED)
            turned = _upright(image, encoded.origin, notes)
            colors = _colors(turned, settings.channels, notes)
            opacity = _opacity(turned, encoded)
    except UnidentifiedImageError:
        raise UsageError(
            f"{encoded.origin}: neither a PNG nor a JPEG image", "convert or remove it"
        ) from None
    except Image.DecompressionBombError:  # before it could be asked how large it is
        raise UsageError(f"{encoded.origin}: its pixels are too many", _SHRINK) from None
    except DAMAGE as error:
        raise UsageError(
            f"{encoded.origin}: a damaged image: {error}", "fetch or make it again"
        ) from None
    if opacity is not None:
        ground = Image.new("RGB", (1, 1), settings.background).convert(colors.mode)
        colors = Image.composite(colors, ground.resize(colors.size), opacity)
    size = colors.size
    if (resizing := settings.resizing) is not None:
        colors = resized(colors, resizing, _FILTERS[resizing.filter], encoded.origin)
    pixels = np.asarray(colors, dtype=np.uint8)
    shape = (colors.height, colors.width, settings.channels)
    return Decoded(pixels.reshape(shape), tuple(notes), size, turned is not image)


def resized(
    image: Image.Image, resizing: Resizing, resampling: Image.Resampling, origin: str
) -> Image.Image:
    """An image at the size of a profile, its middle cut out.

    Raises:
        UsageError: it would be absurdly large before; names the origin.
    """
    size = resizing.size_for(*image.size)
    if math.prod(size) > _MOST_PIXELS:  # the shorter side of a line has few pixels
        raise UsageError(
            f"{origin}: of {image.width}x{image.height} pixels, it would be {size[0]}x{size[1]} "
            "before its middle is cut out",
            'remove it, cut it to another shape, or set data.resize = "stretch"',
        )
    if image.size != size:
        image = image.resize(size, resampling)
    side = resizing.image_size
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side)) if resizing.crops else image


@contextmanager
def _noting(notes: list[str]) -> Iterator[None]:
    """Notes damaged EXIF data, of which Pillow warns while it opens an image."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    if any("exif" in str(w.message).lower() or "tag" in str(w.message).lower() for w in warned):
        notes.append(DAMAGED_EXIF)


def _require_readable(image: Image.Image, origin: str) -> None:
    if image.width * image.height > _MOST_PIXELS:
        raise UsageError(
            f"{origin}: {image.width}x{image.height} pixels are too many",
            _SHRINK,
        )
    if image.mode not in _MODES:
        raise UsageError(
            f"{origin}: its pixels are of Pillow's mode {image.mode}",
            "convert it to 8 bits a channel",
        )


def _frames(image: Image.Image) -> int:
    # A JPEG's further pictures (MPO) are previews, depths and gain maps, not an animation.
    return int(getattr(image, "n_frames", 1))


def _upright(image: Image.Image, origin: str, notes: list[str]) -> Image.Image:
    """The image as a person sees it, whatever way the camera was held."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except _EXIF_DAMAGE as error:
        raise UsageError(
            f"{origin}: which way is up cannot be read from its EXIF data: {error}",
            "save it again, upright and without EXIF data",
        ) from None
    if isinstance(orientation, bytes) and len(orientation) == 1:  # instead of the 16 bits asked for
        orientation = orientation[0]
    elif not isinstance(orientation, int | None):
        notes.append(DAMAGED_EXIF)
        return image
    turn = _UPRIGHT.get(orientation or 1)
    return image if turn is None else image.transpose(turn)


def _opacity(image: Image.Image, encoded: Encoded) -> Image.Image | None:
    """How opaque each pixel is, mode ``L``; None where all of the image is."""
    if not image.has_transparency_data:
        return None
    if "transparency" in image.info:
        image = image.copy()
        image.info["transparency"] = _key(image.info["transparency"], image.mode, encoded)
    # A palette's entries have their opacity in the palette, and one color may be the clear one.
    return image.convert("RGBA").getchannel("A")


def _key(transparency: Any, mode: str, encoded: Encoded) -> Any:
    """The transparent color of a PNG without palette in the 8 bits that its pixels are read in."""
    depth = encoded.data[24]  # of the IHDR chunk, which a PNG begins with
    if mode == "L" and isinstance(transparency, int) and depth < 8:
        return transparency * 255 // (2**depth - 1)
    if mode == "RGB" and depth > 8:
        raise UsageError(
            f"{encoded.origin}: it names a transparent color in 16 bits a channel",
            "convert it to 8 bits a channel",
        )
    return transparency


def _colors(image: Image.Image, channels: int, notes: list[str]) -> Image.Image:
    """The colors alone, in sRGB, mode ``RGB`` or ``L``."""
    opaque = _without_transparency(image)
    if data := image.info.get("icc_profile"):
        try:
            if transform := _to_srgb(_Profile(data), opaque.mode):
                opaque = ImageCms.applyTransform(opaque, transform) or opaque
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append(NO_PROFILE)
    return opaque.convert("RGB" if channels == 3 else "L")


def _without_transparency(image: Image.Image) -> Image.Image:
    match image.mode:
        case "RGBA" | "PA":
            return image.convert("RGBA").convert("RGB")
        case "LA":
            return image.getchannel("L")
        case "P":
            return image.convert("RGBA").convert("RGB")
        case "1" | "L":
            return _plain(image).convert("L")
        case "RGB" | "CMYK":
            return _plain(image)
    return image.convert("RGB")


def _plain(image: Image.Image) -> Image.Image:
    """A copy that knows of no transparent color."""
    copy = image.copy()
    copy.info.pop("transparency", None)
    return copy


class _Profile:
    """An ICC profile, equal to every other of the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._digest = hashlib.sha256(data).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profile) and other._digest == self._digest

    def __hash__(self) -> int:
        return hash(self._digest)


@lru_cache(maxsize=16)
def _to_srgb(profile: _Profile, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns values of a profile's color space into sRGB; None where they are sRGB already.

    Raises:
        PyCMSError, OSError: the profile is damaged, or of another color space than the image.
    """
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile.data))
    if "sRGB" in ImageCms.getProfileDescription(space):
        return None
    return ImageCms.buildTransform(space, ImageCms.createProfile("sRGB"), mode, "RGB")
