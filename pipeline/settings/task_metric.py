"""What the answers of each kind of task are judged by: its names, and how it is shown.

It is what `Score.top1`, and the accuracy of reports, are of that kind: nobody else says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.settings.task_settings import TaskKind


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """A number of a stage, the higher the better.

    Attributes:
        name: as files have it, ``top1``, ``pixel_accuracy`` or ``cosine``.
        title: as sentences and axes have it.
        column: the same in few letters.
        answers: what networks answer with.
        full: of answers that are as good as they get.
        full_answers: these, at the beginning of a sentence, with what their value is in ``{}``.
        as_good: how an arm is that is not told apart from the last stage.
        worse: how a stage is that is told apart from a better one.
        said: a value with what it is, of which sentences have it in place of ``{}``.
        share: whether it is shown in per cent; a cosine is not.
    """

    name: str
    title: str
    column: str
    answers: str
    full: str
    full_answers: str
    as_good: str
    worse: str
    said: str
    share: bool = True

    @property
    def axis(self) -> str:
        """What an axis of a plot is called."""
        return f"{self.title}, %" if self.share else self.title

    @property
    def scale(self) -> int:
        """What a value is drawn as, over the value."""
        return 100 if self.share else 1

    @property
    def step(self) -> str:
        """What differences are in."""
        return "points" if self.share else "cosine"

    def value(self, number: float, digits: int = 2) -> str:
        """A value, such as ``97.50%`` with two digits of per cent, or ``0.9870``."""
        return f"{number:.{digits}%}" if self.share else f"{number:.{digits + 2}f}"

    def interval(self, low: float, high: float) -> str:
        """The ends of an interval, such as ``96.1-98.4`` or ``0.9812-0.9903``."""
        if self.share:
            return f"{100 * low:.1f}-{100 * high:.1f}"
        return f"{low:.4f}-{high:.4f}"

    def difference(self, number: float) -> str:
        """A difference of two values in `step`, such as ``+1.25`` or ``+0.00083``."""
        return f"{100 * number:+.2f}" if self.share else f"{number:+.5f}"

    def loss(self, number: float, unit: bool = True) -> str:
        """How much a difference below 0 loses, such as ``1.3 points`` or ``a cosine of 0.0008``."""
        if not self.share:
            return f"a cosine of {-number:.4f}" if unit else f"{-number:.4f}"
        return f"{-100 * number:.1f} points" if unit else f"{-100 * number:.1f}"

    def words(self, number: float) -> str:
        """A value with what it is, such as ``97.5% accurate``."""
        return self.said.format(self.value(number, 1))

    def full_words(self, number: float) -> str:
        """Answers that are as good as they get, with how good."""
        return self.full_answers.format(self.value(number, 1))


_METRICS: Final[dict[TaskKind, TaskMetric]] = {
    "classification": TaskMetric(
        "top1",
        *("top-1 accuracy", "top-1", "logits"),
        *("full accuracy", "answers of full accuracy, {}", "as accurate", "less accurate"),
        "{} accurate",
    ),
    "dense": TaskMetric(
        "pixel_accuracy",
        *("per-pixel accuracy", "per-pixel", "logits"),
        "full per-pixel accuracy",
        "label maps of full per-pixel accuracy, per-pixel accuracy {}",
        *("as accurate by pixels", "less accurate by pixels"),
        "per-pixel accuracy {}",
    ),
    "embedding": TaskMetric(
        "cosine",
        *("mean cosine to the teacher", "mean cosine", "embeddings"),
        *("final embeddings", "final embeddings, mean cosine to the teacher {}"),
        *("as near to the teacher", "farther from the teacher"),
        "mean cosine to the teacher {}",
        share=False,
    ),
}


def metric_of(kind: TaskKind) -> TaskMetric:
    """What a kind of task is judged by."""
    return _METRICS[kind]
