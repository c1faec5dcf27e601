"""What the answers of each kind of task are called is said in one place."""

from __future__ import annotations

import pytest

from pipeline.bundle.output import Output
from pipeline.settings import TaskKind, metric_of


@pytest.mark.parametrize(
    ("kind", "words", "axis", "value", "interval", "difference", "loss"),
    [
        (
            *("classification", "98.7% accurate", "top-1 accuracy, %"),
            *("98.71%", "97.1-99.2", "-0.25", "0.2 points"),
        ),
        (
            *("dense", "per-pixel accuracy 98.7%", "per-pixel accuracy, %"),
            *("98.71%", "97.1-99.2", "-0.25", "0.2 points"),
        ),
        (
            *("embedding", "mean cosine to the teacher 0.987", "mean cosine to the teacher"),
            *("0.9871", "0.9710-0.9920", "-0.00248", "a cosine of 0.0025"),
        ),
    ],
)
def test_each_kind_says_its_metric(
    kind: TaskKind,
    words: str,
    axis: str,
    value: str,
    interval: str,
    difference: str,
    loss: str,
) -> None:
    metric = metric_of(kind)
    assert (metric.words(0.98712), metric.axis, metric.value(0.98712)) == (words, axis, value)
    assert metric.interval(0.971, 0.992) == interval
    assert (metric.difference(-0.00248), metric.loss(-0.00248)) == (difference, loss)


@pytest.mark.parametrize(("kind", "metric"), [("dense", "cosine"), ("embedding", "pixel_accuracy")])
def test_a_metric_of_another_kind_is_no_output(kind: str, metric: str) -> None:
    edge = {"shape": [1, 4], "layout": "NC"}
    with pytest.raises(ValueError, match=f"metric is {metric}, but that of kind {kind} is"):
        Output.model_validate({"kind": kind, "metric": metric, "edge": edge})
