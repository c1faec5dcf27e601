from __future__ import annotations

import pytest

from pipeline.data.batches import batches_of_inputs


@pytest.mark.parametrize(
    ("shape", "size"), [((8, 8, 1), 256), ((3, 32, 32), 256), ((3, 64, 64), 64), ((512,), 256)]
)
def test_batches_of_small_images_are_large(shape: tuple[int, ...], size: int) -> None:
    assert next(iter(batches_of_inputs(600, shape))) == slice(0, size)


def test_every_image_is_in_one_batch_and_large_ones_come_in_small_batches() -> None:
    parts = [*batches_of_inputs(50, (3, 224, 224))]
    assert [part.stop - part.start for part in parts] == [16, 16, 16, 2]
    assert [n for part in parts for n in range(50)[part]] == [*range(50)]
    assert [*batches_of_inputs(0, (3, 224, 224))] == []
