"""Label maps are judged by their labeled pixels, and intervals count images."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.accuracy import Accuracy
from pipeline.evaluation.class_scores import ClassScores
from pipeline.evaluation.label_scores import agreement_of, label_scores, score_difference
from pipeline.evaluation.model_warnings import stage_warnings
from pipeline.evaluation.pixel_counts import PixelCounts
from pipeline.settings import IGNORED

LABELS = np.array([[[0, 0], [1, IGNORED]], [[1, 1], [1, IGNORED]]], np.uint8)
GIVEN = np.array([[[0, 1], [1, 2]], [[1, 0], [0, 2]]], np.uint8)


def test_accuracy_is_the_share_of_labeled_pixels() -> None:
    found = Accuracy.of(GIVEN, LABELS)
    assert (found.correct, found.pixels, found.images) == (3, 6, 2)
    assert found.top1 == 0.5
    assert label_scores(GIVEN, LABELS).mean() == 0.5


def test_scores_of_maps_with_unequally_many_labels_have_that_mean() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (20, 4, 4)).astype(np.uint8)
    labels[:10, :2] = IGNORED
    given = random.integers(0, 3, (2, 20, 4, 4)).astype(np.uint8)
    for row, scores in zip(given, label_scores(given, labels), strict=True):
        assert scores.mean() == pytest.approx(Accuracy.of(row, labels).top1)


def test_pixels_that_err_together_are_no_more_trials() -> None:
    """Of 50 images 40 are right at every pixel: as sure as 40 of 50, however many pixels."""
    labels = np.zeros((50, 8, 8), np.uint8)
    given = labels.copy()
    given[40:] = 1
    found = Accuracy.of(given, labels)
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 50) ** 0.5, rel=0.02)
    everything = Accuracy.of(labels, labels)
    assert everything.high == 1
    assert 0.9 < everything.low < 0.95


def test_overlap_by_hand() -> None:
    counts = PixelCounts.of(GIVEN, LABELS, 4)
    # 0: one of two is hit and two more are given; 1: two of four, one more; 2, 3: nowhere.
    assert counts.overlap == (1 / 4, 2 / 5, None, None)
    assert counts.mean_overlap == pytest.approx((1 / 4 + 2 / 5) / 2)
    assert ClassScores.of(GIVEN, LABELS, 4).recall == (1 / 2, 1 / 2, None, None)
    assert [*counts.images] == [1, 2, 0, 0]


def test_a_stage_is_better_by_images() -> None:
    before = np.array([0.5, 0.6, 0.7, 0.4])
    value, low, high = score_difference(before, before + np.array([0.1, 0.2, 0.1, 0.2]))
    assert value == pytest.approx(0.15)
    assert 0 < low < value < high
    assert score_difference(before[:1], before[:1])[1:] == (-2.0, 2.0)


def test_maps_are_warned_of_like_labels() -> None:
    labels = np.zeros((30, 4, 4), np.uint8)
    labels[:, 0], labels[:, 3] = 1, IGNORED
    always, worse = np.zeros_like(labels), np.ones_like(labels)
    found = stage_warnings(["SS", "TT"], np.stack([always, worse]), labels, ("sky", "road"))
    assert [warning.kind for warning in found] == [
        *("teacher", "worse-stage", "one-class", "one-class", "chance", "chance")
    ]
    assert "33.33% and 66.67% of the labeled pixels of 30 test images" in found[0].text
    assert "stage 1 (TT), is less accurate by pixels than stage 0 (SS)" in found[1].text


def test_embeddings_are_judged_by_their_cosine() -> None:
    wanted = np.array([[1, 0], [0, 2], [3, 4]], np.float32)
    given = np.array([[5, 0], [1, 0], [0, 0]], np.float32)
    assert [*label_scores(given, wanted)] == [1, 0, 0]
    assert [*label_scores(np.zeros_like(given), np.zeros_like(given))] == [1, 1, 1]
    assert [*label_scores(given, np.zeros_like(given))] == [0, 0, 1]
    found = Accuracy.of(given, wanted)
    assert found.top1 == found.cosine == pytest.approx(1 / 3)
    assert -1 <= found.low < found.top1 < found.high <= 1
    assert Accuracy.of(-wanted, wanted).top1 == -1


def test_a_stage_of_embeddings_is_worse_by_images() -> None:
    random = np.random.default_rng(0)
    wanted = random.normal(size=(50, 4)).astype(np.float32)
    near, far = (wanted + scale * random.normal(size=(50, 4)) for scale in (0.1, 2.0))
    rows = np.stack([near, far, wanted]).astype(np.float32)
    (warning,) = stage_warnings(["SS", "TS", "TT"], rows, wanted, ("0", "1", "2", "3"))
    assert (warning.kind, "stage 1 (TS)" in warning.text) == ("worse-stage", True)


def test_embeddings_of_one_direction_are_warned_of() -> None:
    wanted = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    same = np.ones_like(wanted) * np.linspace(1, 2, 50, dtype=np.float32)[:, None]
    (warning,) = stage_warnings(["SS", "TT"], np.stack([same, wanted]), wanted, ("0",))
    assert warning.kind == "one-class"
    assert warning.text.startswith("stage 0 (SS) gives all 50 test images embeddings of one direct")
    assert stage_warnings(["TT"], (wanted + 300)[None], wanted + 300, ("0",)) == []
    found = stage_warnings(["SS", "TT"], np.stack([same, same]), same, ("0",))
    assert [each.kind for each in found] == ["one-class", "one-class"]


def test_two_models_agree_on_labeled_pixels_alone() -> None:
    other = GIVEN.copy()
    other[0, 1, 1] = 0  # without a label
    assert agreement_of(GIVEN, other, LABELS) == 1
    other[0, 0, 0] = 2
    assert agreement_of(GIVEN, other, LABELS) == pytest.approx(5 / 6)
    assert agreement_of(np.array([0, 1]), np.array([0, 2]), np.array([2, 2])) == 0.5


def test_embeddings_agree_by_their_cosine_to_eager_ones_not_to_the_teachers() -> None:
    eager, wanted = np.array([[1, 0], [0, 1]], np.float32), np.array([[0, 1]] * 2, np.float32)
    assert agreement_of(3 * eager, eager, wanted) == 1
    assert agreement_of(np.array([[1, 0], [1, 0]], np.float32), eager, wanted) == 0.5
