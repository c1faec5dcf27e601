from __future__ import annotations

from pipeline.report.render.serving_table import SERVING_COLUMNS, serving_rows
from tests.report.builder import metric, report

TIMES = {
    f"{kind}.{how}": metric([value])
    for kind, value in (("ttfi_ms.pwl", 2.0), ("time_to_final_ms", 40.0), ("worst_latency_ms", 9.0))
    for how in ("cold", "warm", "30fps", "120fps", "60fps")
}
COUNTS = {
    f"{kind}.{rate}": metric([value], "frames")
    for kind, value in (("missed_deadlines", 3), ("missed_deadlines_steady", 0))
    for rate in ("30fps", "120fps", "60fps")
}


def test_every_start_state_and_frame_rate_has_a_row() -> None:
    worst = "first_after_swap_over_steady.worst"
    ratios = {worst: metric([1.5], "ratio"), f"{worst}.30fps": metric([1.25], "ratio")}
    rows = serving_rows(report({**TIMES, **COUNTS, **ratios}))
    assert all(len(row) == len(SERVING_COLUMNS) for row in rows)
    assert [(*row[:2], *row[4:]) for row in rows] == [
        ("full speed", "cold", "-", "-", "-"),
        ("full speed", "warm", "1.50 [1.50-1.50]", "-", "-"),
        ("30/s", "warm", "1.25 [1.25-1.25]", "3", "0"),
        ("60/s", "warm", "-", "3", "0"),
        ("120/s", "warm", "-", "3", "0"),
    ]
    assert rows[0][2:4] == ["40.0 [40.0-40.0]", "9.00 [9.00-9.00]"]


def test_a_report_without_frames_has_none() -> None:
    assert serving_rows(report({"time_to_final_ms.warm": metric([1.0])})) == []
