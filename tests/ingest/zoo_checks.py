"""What holds for image classifiers of every library alike, and what is done to their folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress, Silent
from pipeline.ingest.probe import probe_images
from pipeline.ingest.python import OwnModel
from pipeline.ingest.slim import slimmed
from pipeline.ingest.split import split_network
from pipeline.model.content import content_of
from tests.ingest.zoo_models import SHAPE
from tests.said_lines import SaidLines

IMAGES = probe_images(SHAPE)
EXACT = 1e-5
#: Opens a model of a library: place, shape of the images, and who is told.
Opening = Callable[[str, Callable[[], tuple[int, ...]] | None, Progress], OwnModel]


def told(command: Any, *arguments: Any) -> str:
    """What a command prints, which has to succeed."""
    result = CliRunner().invoke(command, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def logits(network: nn.Module, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        found: Any = network(images)
    logits: Tensor = found if isinstance(found, Tensor) else found.logits
    return logits


def opened(opening: Opening, place: Path, shape: tuple[int, ...] = SHAPE) -> nn.Module:
    teacher = opening(str(place), lambda: shape, Silent()).teacher
    assert isinstance(teacher, nn.Module)
    return teacher


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without_tensor(folder: Path, name: str) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors[name]
    save_file(tensors, file, {"format": "pt"})


def require_cut_and_slimmed(
    teacher: nn.Module, expected: Tensor, splits: Iterable[list[str]]
) -> None:
    """It says the same whole and cut, and a narrow student is made of it."""
    assert torch.allclose(logits(teacher), expected, rtol=0, atol=EXACT)
    for split in splits:
        blocks = split_network("zoo", "teacher", teacher, split, IMAGES)
        assert torch.allclose(logits(blocks), expected, rtol=0, atol=EXACT), split
    slim = slimmed("zoo", blocks, SHAPE, 0.5, 0.5)
    assert logits(slim).shape == expected.shape
    assert sum(map(Tensor.numel, slim.parameters())) < sum(map(Tensor.numel, blocks.parameters()))


def require_same_elsewhere(opening: Opening, folder: Path) -> None:
    elsewhere = folder.with_name("elsewhere")
    shutil.copytree(folder, elsewhere)
    here, there = (
        content_of(dict(opened(opening, place).named_children())) for place in (folder, elsewhere)
    )
    assert here == there


def require_pickles_read_safely(opening: Opening, folder: Path) -> None:
    """Pickled weights are read as tensors alone, that is said, and what is not tensors refused."""
    expected = logits(opened(opening, folder))
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    said = SaidLines()
    teacher = opening(str(folder), lambda: SHAPE, said).teacher
    assert isinstance(teacher, nn.Module)
    assert torch.equal(logits(teacher), expected)
    assert "weights_only" in said.lines[0]
    torch.save({"weights": Path}, folder / "pytorch_model.bin")  # anything that pickle can call
    with pytest.raises(UsageError, match="cannot read it"):
        opened(opening, folder)


def require_refused(opening: Opening, folder: Path, what: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        opened(opening, folder)
    assert what in refused.value.what
    assert remedy in refused.value.remedy


def require_other_images_refused(opening: Opening, resnet: Path, vit: Path) -> None:
    """By a network for three channels, and by one for images of 32 pixels."""
    with pytest.raises(UsageError, match="takes images of 3 channel") as refused:
        opened(opening, resnet, (1, 32, 32))
    assert "channels = 3" in refused.value.remedy
    with pytest.raises(UsageError, match=r"takes no images \[3, 24, 24\]") as refused:
        opened(opening, vit, (3, 24, 24))
    assert "image_size in [data] to 32" in refused.value.remedy
