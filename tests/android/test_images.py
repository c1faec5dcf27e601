"""What an app makes of an image equals what the pipeline made of it for the training."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.bundle.manifest import Input, InputNormalization
from pipeline.data.decode import Encoded, decode
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
from pipeline.data.preprocessing import Preprocessing
from pipeline.settings import DigitsData, FolderData
from tests.android.toolchain import class_path, jvm, kotlin

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Case:
    """An image file, and how its data set is read."""

    image: Image.Image
    format: str = "PNG"
    size: int | None = 24
    channels: int = 3
    background: str = "#ffffff"
    resize: str = "stretch"
    resize_size: int | None = None
    filter: str = "bilinear"


def noise(*shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth with a grain, as photos are."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / (5 + c)) * np.cos(y / (7 - c)) for c in range(len(mode))]
    pixels = np.stack(planes, -1) + noise(height, width, len(mode)) / 8
    whole = pixels.clip(0, 255).astype(np.uint8)
    return Image.fromarray(whole[..., 0] if mode == "L" else whole)


CASES = {
    "shrunken": Case(photo(97, 61)),
    "shrunken JPEG": Case(photo(640, 480), "JPEG", size=32),
    "enlarged": Case(photo(7, 5)),
    "shrunken and enlarged": Case(photo(11, 90)),
    "enlarged and shrunken": Case(photo(90, 11)),
    "shrunken in height most": Case(photo(31, 90)),
    "shrunken in height twice as much": Case(photo(34, 44)),  # by 10 and 20 pixels
    "as it is": Case(photo(24, 24), size=None),
    "one pixel": Case(photo(1, 1), size=5),
    "noise": Case(Image.fromarray(noise(50, 70, 3)), size=33),
    "gray of color": Case(photo(40, 30), channels=1),
    "gray": Case(photo(40, 30, "L"), channels=1),
    "color of gray": Case(photo(40, 30, "L")),
    "transparent": Case(photo(40, 30, "RGBA"), background="#336699"),
    "transparent on black": Case(photo(24, 24, "RGBA"), background="#000000"),
    "transparent gray": Case(photo(40, 30, "RGBA"), channels=1, background="#c08040"),
    "shrunken, bicubic": Case(photo(97, 61), filter="bicubic"),
    "enlarged, bicubic": Case(Image.fromarray(noise(7, 5, 3)), filter="bicubic"),
    "wide, cut": Case(photo(97, 61), resize="shortest-edge", resize_size=28),
    "tall, cut": Case(photo(31, 90), resize="shortest-edge", resize_size=27, filter="bicubic"),
    "small, cut": Case(photo(7, 11), resize="shortest-edge", filter="bicubic"),
    "cut alone": Case(photo(28, 33), resize="shortest-edge", resize_size=28),
    "stretched, cut": Case(photo(97, 61), resize_size=27, filter="bicubic"),
}


@dataclass(frozen=True, slots=True)
class Converted:
    """What both made of an image."""

    pipeline: npt.NDArray[np.float32]
    app: npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Converted]:
    place = tmp_path_factory.mktemp("images")
    wanted = {name: _write(case, place / name) for name, case in CASES.items()}
    _convert([place / name for name in CASES])
    return {
        name: Converted(wanted[name], np.fromfile(place / name / "input.f32", np.float32))
        for name in CASES
    }


def _convert(folders: list[Path]) -> None:
    with class_path(kotlin()) as classes:
        done = jvm(classes, Path(), "dev.pwl.test.Images", *map(str, folders))
    assert done.returncode == 0, done.stdout + done.stderr


def _write(case: Case, folder: Path) -> npt.NDArray[np.float32]:
    """Has the pipeline read an image; writes its decoded pixels and a manifest for the app."""
    settings = FolderData(
        source="images",
        path=Path(),
        channels=case.channels,
        image_size=case.size,
        background=case.background,
        resize=case.resize,
        resize_size=case.resize_size,
        filter=case.filter,
    )
    file = io.BytesIO()
    case.image.save(file, case.format)
    pixels = decode(Encoded(file.getvalue(), "test"), settings).pixels
    normalization = Normalization(MEAN[: case.channels], STD[: case.channels])
    with Image.open(file) as image:
        _write_app(folder, np.asarray(image.convert("RGBA")), settings, pixels, normalization)
    inputs = normalization.apply(pixels[np.newaxis])
    return inputs.permute(0, 2, 3, 1).numpy().ravel()


def _write_app(
    folder: Path,
    rgba: npt.NDArray[np.uint8],
    settings: FolderData | DigitsData,
    pixels: npt.NDArray[np.uint8],
    normalization: Normalization,
) -> None:
    images = ImageSet(pixels[np.newaxis], np.zeros(1, np.int64))
    dataset = Dataset(images, images, ("a",), normalization)
    content = Input(
        shape=(1, *pixels.shape),
        layout="NHWC",
        preprocessing=Preprocessing.of(settings, dataset),
        normalization=InputNormalization(mean=normalization.mean, std=normalization.std),
    )
    manifest = {
        "schema_version": 2,
        "name": "images",
        "model": {"labels": ["a"]},
        "backend": {"threads": 1},
        "input": content.model_dump(mode="json"),
        "stages": [],
        "artifacts": [],
    }
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    height, width = rgba.shape[:2]
    # Android's colors are 0xAARRGGBB, which in little endian is blue first.
    (folder / f"{width}x{height}.argb").write_bytes(rgba[..., [2, 1, 0, 3]].tobytes())


@pytest.mark.parametrize("name", CASES)
def test_an_image_becomes_the_input_that_the_pipeline_makes_of_it(
    name: str, converted: dict[str, Converted]
) -> None:
    found = converted[name]
    assert found.app.shape == found.pipeline.shape
    assert np.abs(found.app - found.pipeline).max() <= 1e-6


def test_images_of_data_sets_that_are_arrays_are_resized_by_the_same_rule(tmp_path: Path) -> None:
    """Digits, Fashion-MNIST and CIFAR come without files."""
    scan = noise(8, 8, 1)
    resized = ImageSet(scan[np.newaxis], np.zeros(1, np.int64)).resized(32).images[0]
    settings, normalization = (
        DigitsData(source="digits", image_size=32),
        Normalization((0.3,), (0.4,)),
    )
    rgba = np.concatenate([scan, scan, scan, np.full_like(scan, 255)], -1)
    _write_app(tmp_path / "digit", rgba, settings, resized, normalization)
    _convert([tmp_path / "digit"])
    wanted = normalization.apply(resized[np.newaxis]).numpy().ravel()
    found = np.fromfile(tmp_path / "digit" / "input.f32", np.float32)
    assert np.abs(found - wanted).max() <= 1e-6


def test_images_that_the_training_knows_nothing_of_are_refused(tmp_path: Path) -> None:
    settings, normalization = DigitsData(source="digits"), Normalization((0.3,), (0.4,))
    scan = noise(8, 8, 1)
    opaque, clear = np.full((9, 8, 4), 255, np.uint8), np.full((8, 8, 4), 254, np.uint8)
    for name, image in (("large", opaque), ("clear", clear)):
        _write_app(tmp_path / name, image, settings, scan, normalization)
    _convert([tmp_path / "large", tmp_path / "clear"])
    assert "8 x 9 pixels" in (tmp_path / "large" / "refused.txt").read_text()
    assert "no background" in (tmp_path / "clear" / "refused.txt").read_text()
