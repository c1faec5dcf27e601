"""The typed TOML file of release gates: what is asked of a report."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from pipeline.core.toml_file import Section
from pipeline.report.metric_names import WHILE_LOADING, is_taken_while_loading
from pipeline.report.suspicion import REASON_IDS, ReasonId

#: What `over` and `minus` call the baseline report.
BASELINE = "baseline"
#: What `metric` calls the verdict.
PAYS = "pays"


#: A number of TOML: neither a truth value nor a string that looks like one.
Limit = Annotated[float, Field(strict=True)]


class Gate(Section):
    """One ``[[gate]]`` table of a gates file.

    Attributes:
        name: what a person calls it.
        metric: name of a metric of the report; ``*`` stands for any text, and then every metric
            that fits is judged: those that are there, and those that the report's stages, arms and
            start states call for, which are errors where they are missing. So is a ratio of the
            report by its name, and ``pays``: whether the report concludes that loading
            progressively pays, 1 or 0.
        over: judge the ratio to this metric instead, round by round. ``baseline`` compares with the
            same metric of the baseline report.
        at_most: upper limit.
        at_least: lower limit.
        minus: judge the metric less this one (for metrics without spread, such as accuracy).
        integrity: a failure means wrong results, not slow ones, and ends with exit code 4.
        optional: of a gate over a baseline: left out where no baseline is given, not an error. Of
            one on `WHILE_LOADING`: skipped, not inconclusive, where no inference ran during a load.
    """

    name: str
    metric: str
    over: str | None = None
    minus: str | None = None
    at_most: Limit | None = None
    at_least: Limit | None = None
    integrity: bool = False
    optional: bool = False

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError(f"gate {self.name!r}: give at_most, at_least or both")
        most, least = self.at_most, self.at_least
        if most is not None and least is not None and most < least:
            raise ValueError(f"gate {self.name!r}: at_most is less than at_least")
        if self.over is not None and self.minus is not None:
            raise ValueError(f"gate {self.name!r}: over and minus exclude each other")
        if self.optional and not self.needs_baseline and not is_taken_while_loading(self.metric):
            raise ValueError(
                f"gate {self.name!r}: only a gate over a baseline, or on "
                f"{' or '.join(WHILE_LOADING)}, can be optional"
            )
        return self

    @property
    def needs_baseline(self) -> bool:
        """Whether it compares with a baseline."""
        return BASELINE in (self.over, self.minus)

    @property
    def waits_for_baseline(self) -> bool:
        """Whether it is left out where there is no baseline."""
        return self.optional and self.needs_baseline


class GateFile(Section):
    """A gates file.

    Attributes:
        allow: ids of what may speak against a report's timings, such as ``BUSY-DEVICE``; a report
            against which anything else speaks is an error.
        gate: the gates, in order.
    """

    allow: tuple[ReasonId, ...] = ()
    gate: Annotated[tuple[Gate, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _one_by_one(cls, table: Any) -> Any:
        if isinstance(table, dict) and "allow_suspect" in table:
            raise ValueError(
                "allow_suspect is no longer a key: name what a report may be suspect of, such as "
                'allow = ["BUSY-DEVICE"]; known are ' + ", ".join(REASON_IDS)
            )
        return table
