"""Every image is seen as a person sees it: upright, in sRGB, on the background of the profile."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms

from pipeline.core.errors import UsageError
from pipeline.data.decode import Encoded, decode
from pipeline.data.source import load_dataset
from pipeline.settings import EncodedData, FolderData, HuggingFaceData, ParquetData
from tests.data.test_encoded_data import FakeHub

#: How a camera held the other way stores an upright image, by EXIF orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
BLUE = (0, 0, 255)


def upright() -> npt.NDArray[np.uint8]:
    """An image that is another one however it is turned."""
    image = np.full((16, 24, 3), 40, np.uint8)
    image[:8, :], image[:, :8] = (200, 100, 0), (0, 90, 250)
    return image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int, kind: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(upright()).transpose(STORED[orientation])
    quality = {} if kind == "PNG" else {"quality": 100, "subsampling": 0}
    return encode(stored, kind, exif=exif, **quality)


def settings(**values: Any) -> EncodedData:
    return EncodedData.model_validate(values)


def pixels(data: bytes, **values: Any) -> npt.NDArray[np.uint8]:
    return decode(Encoded(data, "x"), settings(**values)).pixels


def notes(data: bytes) -> tuple[str, ...]:
    return decode(Encoded(data, "x"), settings()).notes


def refusal(data: bytes) -> str:
    with pytest.raises(UsageError) as caught:
        pixels(data)
    assert caught.value.remedy
    return str(caught.value)


def png(
    depth: int, color: int, rows: list[bytes], width: int, *, key: bytes, behind: bytes
) -> bytes:
    """A PNG by hand: a transparent color, and a chunk behind its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"tRNS", key) if key else b""]
    parts.append(chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))))
    parts.append(chunk(b"eXIf", behind) if behind else b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", STORED)
def test_a_photograph_is_turned_upright(orientation: int) -> None:
    assert np.array_equal(pixels(turned(orientation)), upright())
    jpeg = pixels(turned(orientation, "JPEG")).astype(int)
    assert np.abs(jpeg - upright()).max() < 8


@pytest.mark.parametrize("orientation", [0, 1, 9, 65535])
def test_an_orientation_that_says_nothing_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(encode(Image.fromarray(upright()), exif=exif)), upright())


def with_orientation(kind: int, count: int, value: bytes) -> bytes:
    """A photograph stored as by orientation 6, whose EXIF data gives that in a type of its own."""
    entry = struct.pack("<HHI4s", 0x0112, kind, count, value)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    return encode(Image.fromarray(upright()).transpose(STORED[6]), exif=exif)


def test_an_orientation_in_another_type_of_number_counts_too() -> None:
    for kind in (1, 3, 4, 9):  # 8, 16 and 32 bits, and 32 with a sign
        assert np.array_equal(pixels(with_orientation(kind, 1, b"\6\0\0\0")), upright())


def test_an_orientation_that_is_no_number_is_told() -> None:
    assert "which way is up may be lost" in notes(with_orientation(2, 2, b"6\0\0\0"))[0]


def test_an_orientation_behind_the_pixels_of_a_png_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    rows = [bytes([200, 0, 0] * 2), bytes(6)]
    found = pixels(png(8, 2, rows, 2, key=b"", behind=exif.tobytes().removeprefix(b"Exif\0\0")))
    assert found[:, :, 0].tolist() == [[0, 0], [200, 200]]


def test_images_are_turned_before_they_are_resized_or_compared_in_size(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for index, orientation in enumerate(STORED):
            path = tmp_path / part / "ab"[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(turned(orientation))
        (tmp_path / part / "a" / "other.png").write_bytes(encode(Image.new("RGB", (24, 16))))
    found = load_dataset(FolderData(source="images", path=tmp_path), seed=0)
    assert found.image_shape == (3, 16, 24)


def test_parquet_files_and_the_hub_turn_images_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [turned(6), turned(8, "JPEG"), encode(Image.new("RGB", (24, 16)))]
    table = pa.table(
        {"image": [{"bytes": data, "path": None} for data in images], "label": [0, 1, 2]}
    )
    monkeypatch.setattr("tests.data.test_encoded_data.table", lambda part: table)
    monkeypatch.setitem(sys.modules, "datasets", FakeHub().module())
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    for source in (
        ParquetData(source="parquet", path=tmp_path),
        HuggingFaceData(source="huggingface", name="animals"),
    ):
        found = load_dataset(source, seed=0).test
        first = found.images[list(found.labels).index(0)]
        assert np.array_equal(first, upright())


def clear(mode: str) -> tuple[Image.Image, dict[str, Any]]:
    """A small image, opaque and red or gray 10 at its first pixel, transparent elsewhere."""
    if mode in ("RGBA", "LA"):
        values = np.zeros((4, 4, 4), np.uint8)
        values[0, 0] = (10, 10, 10, 255)
        return Image.fromarray(values).convert(mode), {}
    image = Image.new(mode, (4, 4), {"RGB": (9, 9, 9), "1": 0}.get(mode, 1))
    if mode == "P":
        image.putpalette([0, 0, 0, 0, 0, 0, 10, 10, 10])
        image.putpixel((0, 0), 2)
        return image, {"transparency": 1}
    image.putpixel((0, 0), {"RGB": (10, 10, 10), "1": 255}.get(mode, 10))
    return image, {"transparency": {"RGB": (9, 9, 9), "1": 0}.get(mode, 1)}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "1"])
def test_what_is_transparent_shows_the_background(mode: str) -> None:
    image, options = clear(mode)
    data = encode(image, **options)
    shape = 255 if mode == "1" else 10
    assert pixels(data)[0, 0].tolist() == [shape] * 3
    assert (pixels(data)[1:] == 255).all()
    assert (pixels(data, background="black")[1:] == 0).all()
    assert (pixels(data, background="#0000ff")[1:] == BLUE).all()
    assert (pixels(data, background=[0, 0, 255])[1:] == BLUE).all()
    assert (pixels(data, channels=1, background="#ffffff")[1:] == 255).all()


def test_half_transparent_pixels_are_mixed_with_the_background() -> None:
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([100, 0, 0])
    data = encode(palette, transparency=bytes([128]))
    assert pixels(data, background="black")[0, 0].tolist() == [50, 0, 0]


@pytest.mark.parametrize(("depth", "row"), [(4, b"\x3f\xff"), (2, b"\x7f")])
def test_a_transparent_gray_of_few_bits_is_found(depth: int, row: bytes) -> None:
    key = struct.pack(">H", row[0] >> (8 - depth))
    found = pixels(png(depth, 0, [row], 4, key=key, behind=b""), background="black")
    assert found[0, :, 0].tolist() == [0, 255, 255, 255]


def test_wide_pixels_are_refused_by_name_where_they_would_be_wrong() -> None:
    wide = encode(Image.fromarray(np.zeros((4, 4), np.uint16)))
    assert "x: its pixels are of Pillow's mode I;16" in refusal(wide)
    keyed = png(16, 2, [bytes(12)], 2, key=bytes(6), behind=b"")
    assert "x: it names a transparent color in 16 bits a channel" in refusal(keyed)


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "GIF", "BMP"])
def test_other_formats_are_refused_by_name(kind: str) -> None:
    assert "x: neither a PNG nor a JPEG image" in refusal(encode(Image.new("RGB", (4, 4)), kind))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [2, 100, 1000])
def test_a_truncated_jpeg_is_refused(progressive: bool, lost: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", progressive=progressive)
    assert "x: a damaged image" in refusal(data[:-lost])


def test_what_no_memory_holds_is_refused_with_a_remedy_that_helps() -> None:
    line = encode(Image.new("L", (1, 50_000)))
    with pytest.raises(UsageError, match=r"it would be 1024x51200000 before") as refused:
        pixels(line, image_size=1024, resize="shortest-edge")
    assert 'data.resize = "stretch"' in refused.value.remedy
    assert pixels(line, image_size=16, resize="stretch").shape == (16, 16, 3)
    with pytest.raises(UsageError, match="its pixels are too many") as refused:
        pixels(encode(Image.new("1", (20_000, 20_000))))
    assert "shrink it" in refused.value.remedy


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_print_and_video_colors_are_converted(mode: str) -> None:
    data = encode(Image.new("RGB", (8, 8), (200, 40, 90)).convert(mode), "JPEG", quality=100)
    assert np.abs(pixels(data).astype(int) - (200, 40, 90)).max() < 4
    assert pixels(data, channels=1).shape == (8, 8, 1)


def exchanged_profile() -> bytes:
    """sRGB with red and blue exchanged, under another name."""
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    whole = whole.replace(b"rXYZ", b"temp").replace(b"bXYZ", b"rXYZ").replace(b"temp", b"bXYZ")
    return whole.replace("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_icc_profile_is_applied(mode: str) -> None:
    image = Image.new(mode, (4, 4), (0, 90, 250, 255)[: len(mode)])
    found = pixels(encode(image, icc_profile=exchanged_profile())).astype(int)
    assert np.abs(found - (250, 90, 0)).max() < 3


def test_a_profile_of_srgb_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(
        pixels(encode(Image.fromarray(upright()), icc_profile=profile)), upright()
    )


def test_what_cannot_be_taken_quite_as_it_is_is_noted() -> None:
    image, other = Image.fromarray(upright()), Image.new("RGB", (24, 16))
    animated = encode(image, save_all=True, append_images=[other])
    assert np.array_equal(pixels(animated), upright())
    assert notes(animated) == ("are animated: the first frame of each is used",)
    assert "ICC profile that cannot be applied" in notes(encode(image, icc_profile=b"junk" * 50))[0]
    broken = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 3
    assert "damaged EXIF data" in notes(encode(image, "JPEG", exif=broken))[0]
    assert notes(encode(image)) == ()


def test_further_pictures_of_a_jpeg_are_left_alone() -> None:
    first, gain = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8))
    data = encode(first, "MPO", save_all=True, append_images=[gain])
    assert pixels(data)[0, 0, 0] > 190
    assert notes(data) == ()


def test_notes_are_told_of_the_data_set_with_the_first_image(tmp_path: Path) -> None:
    image, other = Image.fromarray(upright()), Image.new("RGB", (24, 16))
    for part in ("train", "test"):
        for label in "ab":
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            (folder / "still.png").write_bytes(encode(other if label == "a" else image))
    path = tmp_path / "train" / "a" / "animated.png"
    path.write_bytes(encode(image, save_all=True, append_images=[other]))
    note, _trained_on = load_dataset(FolderData(source="images", path=tmp_path), seed=0).notes
    assert note == f"1 image(s) are animated: the first frame of each is used; the first is {path}"


@pytest.mark.parametrize("color", ["whitish", "#fff", [255, 255], [0, 0, 256], 7])
def test_a_background_that_is_no_color_is_refused(color: Any) -> None:
    with pytest.raises(ValueError, match='a color is "white", "black", "#rrggbb"'):
        settings(background=color)
