"""What speaks against a model is said, and only then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.bundle.floors import require_floors
from pipeline.core.errors import ExitCode, IntegrityError
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
from pipeline.evaluation.class_scores import ClassScores
from pipeline.evaluation.model_warnings import ModelWarning, stage_warnings
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import BundleSettings

NAMES = ("no", "yes", "maybe")
ROUTES = ("SS", "TS", "TT")


def labels(*counts: int) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(counts)), counts)


def right_on(truth: npt.NDArray[np.int64], share: float, seed: int = 0) -> npt.NDArray[np.uint16]:
    """Predictions of which about this share is right, in every class."""
    random = np.random.default_rng(seed)
    wrong = (truth + random.integers(1, 3, len(truth))) % 3
    return np.where(random.random(len(truth)) < share, truth, wrong).astype(np.uint16)


def kinds(truth: npt.NDArray[np.int64], *stages: npt.NDArray[np.uint16]) -> list[str]:
    return [warning.kind for warning in said(truth, *stages)]


def said(truth: npt.NDArray[np.int64], *stages: npt.NDArray[np.uint16]) -> Sequence[ModelWarning]:
    return stage_warnings(ROUTES[-len(stages) :], np.stack(stages), truth, NAMES)


def test_a_sound_model_is_not_warned_of() -> None:
    truth = labels(100, 100, 100)
    assert kinds(truth, *(right_on(truth, share) for share in (0.8, 0.85, 0.9))) == []
    unequal = labels(240, 40, 20)
    assert kinds(unequal, *(right_on(unequal, share) for share in (0.9, 0.92, 0.97))) == []


def test_a_teacher_that_always_answers_the_largest_class_is_found() -> None:
    truth = labels(889, 71, 40)
    always = np.zeros(1000, np.uint16)
    found = stage_warnings(["SS", "TT"], np.stack([right_on(truth, 0.95), always]), truth, NAMES)
    assert {warning.kind for warning in found} == {"teacher", "worse-stage", "one-class", "chance"}
    text = next(warning.text for warning in found if warning.kind == "teacher")
    assert "stage 1 (TT), is no better than always answering 'no', the largest class" in text
    assert "right on 88.90% and 88.90% of 1,000 test images" in text


def test_a_teacher_a_little_better_than_the_largest_class_may_be_so_by_luck() -> None:
    truth = labels(160, 20, 20)
    lucky = np.zeros(200, np.uint16)
    lucky[160:162] = 1  # two more right than always answering the largest
    assert "teacher" in kinds(truth, lucky)


def test_a_teacher_at_chance_is_found() -> None:
    truth = labels(100, 100, 100)
    assert kinds(truth, right_on(truth, 1 / 3)) == ["teacher", "chance"]


def test_a_last_swap_that_loses_accuracy_is_found() -> None:
    truth = labels(100, 100, 100)
    (found,) = stage_warnings(
        ROUTES, np.stack([right_on(truth, share, 1) for share in (0.7, 0.9, 0.67)]), truth, NAMES
    )
    assert found.kind == "worse-stage"
    assert (
        "the final stage, stage 2 (TT), is less accurate than stage 1 (TS) by 18.0 points"
        in found.text
    )


def test_a_loss_within_the_uncertainty_is_not_warned_of() -> None:
    truth = labels(100, 100, 100)
    before = right_on(truth, 0.9)
    after = before.copy()
    after[:3] = (truth[:3] + 1) % 3
    assert kinds(truth, before, after) == []


def test_a_stage_that_always_answers_the_same_is_found() -> None:
    truth = labels(100, 100, 100)
    found = stage_warnings(
        ["SS", "TT"], np.stack([np.full(300, 2, np.uint16), right_on(truth, 0.9)]), truth, NAMES
    )
    assert [warning.kind for warning in found] == ["one-class", "chance"]
    assert found[0].text == "stage 0 (SS) answers 'maybe' to all 300 test images"


def test_test_images_of_one_class_say_nothing() -> None:
    truth = labels(50)
    assert "one-class" in kinds(truth, np.zeros(50, np.uint16))


def test_recall_is_per_class_and_balanced_accuracy_its_mean() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 3])
    scores = ClassScores.of(np.array([0, 0, 0, 1, 1, 0, 3]), truth, classes=4)
    assert scores.recall == (0.75, 0.5, None, 1.0)
    assert scores.balanced == pytest.approx(0.75)
    assert scores.low < scores.balanced < scores.high
    assert scores.chance == pytest.approx(1 / 3)


def test_who_always_answers_the_same_is_at_chance_however_unequal_the_classes() -> None:
    truth = labels(889, 71, 40)
    scores = ClassScores.of(np.zeros(1000, np.uint16), truth, classes=3)
    assert scores.balanced == pytest.approx(1 / 3)
    assert scores.at_chance


def evaluated(truth: npt.NDArray[np.int64], final: npt.NDArray[np.uint16]) -> EvaluatedModel:
    """A model whose student is always right."""
    images = ImageSet(np.zeros((len(truth), 1, 1, 1), np.uint8), truth)
    dataset = Dataset(images, images, NAMES, Normalization((0.5,), (0.5,)))
    rows = np.stack([truth.astype(np.uint16), final])
    routes = [Route.parse("SS"), Route.parse("TT")]
    return EvaluatedModel(PwlModel.__new__(PwlModel), dataset, routes, rows, rows)


def test_a_floor_of_embeddings_holds_for_every_stage() -> None:
    wanted = np.array([[1, 0], [0, 0], [3, 4]], np.float32)
    student = np.array([[1, 0], [0, 0], [4, -3]], np.float32)
    images = ImageSet(np.zeros((3, 1, 1, 1), np.uint8), wanted)
    dataset = Dataset(images, images, NAMES, Normalization((0.5,), (0.5,)))
    rows, routes = np.stack([student, wanted]), [Route.parse("SS"), Route.parse("TT")]
    found = EvaluatedModel(PwlModel.__new__(PwlModel), dataset, routes, rows, rows)
    require_floors(BundleSettings(least_cosine=0.66), found)
    low = r"stage 0 \(SS\): mean cosine to the teacher is 0.6667, less than \[bundle\] least_cosine"
    with pytest.raises(IntegrityError, match=low):
        require_floors(BundleSettings(least_cosine=0.67), found)


def test_floors_of_label_maps_hold_for_their_overlap() -> None:
    wanted = np.array([[[0, 1]], [[1, 1]]], np.uint8)
    images = ImageSet(np.zeros((2, 1, 2, 1), np.uint8), wanted)
    dataset = Dataset(images, images, ("0", "1"), Normalization((0.5,), (0.5,)))
    rows = np.zeros((1, 2, 1, 2), np.uint8)
    found = EvaluatedModel(PwlModel.__new__(PwlModel), dataset, [Route.parse("TT")], rows, rows)
    require_floors(BundleSettings(least_top1=0.25, least_mean_iou=0.125), found)
    with pytest.raises(IntegrityError, match=r"mean IoU is 12\.50%, less than .*least_mean_iou"):
        require_floors(BundleSettings(least_mean_iou=0.13), found)
    with pytest.raises(IntegrityError, match=r"per-pixel accuracy is 25\.00%, less than"):
        require_floors(BundleSettings(least_top1=0.26), found)


def test_floors_hold_for_the_final_stage() -> None:
    truth = labels(889, 71, 40)
    found = evaluated(truth, np.zeros(1000, np.uint16))
    require_floors(BundleSettings(), found)
    require_floors(BundleSettings(least_top1=0.889, least_balanced=0.33), found)
    low = r"final stage \(TT\).*top-1 accuracy is 88.90%, less than \[bundle\] least_top1 = 0.9"
    with pytest.raises(IntegrityError, match=low) as top:
        require_floors(BundleSettings(least_top1=0.9), found)
    assert top.value.code is ExitCode.INTEGRITY
    assert "no bundle was written" in top.value.remedy
    with pytest.raises(IntegrityError, match=r"balanced accuracy is 33.33%, less than \[bundle\]"):
        require_floors(BundleSettings(least_balanced=0.5), found)
