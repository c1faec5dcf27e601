from __future__ import annotations

import pickle

from pipeline.core.errors import ExitCode
from pipeline.lowering.refusal import NotLoweredError, Refusal

REFUSALS = (
    Refusal("teacher.blocks.2.norm", "atan2", "write it in other operators"),
    Refusal("teacher.blocks.3.norm", "atan2", "write it in other operators"),
)


def test_a_refusal_names_unit_backend_module_and_operator_and_gives_each_remedy_once() -> None:
    error = NotLoweredError("teacher-2", "litert", REFUSALS)
    assert error.code is ExitCode.USAGE
    assert error.what == (
        "teacher-2 cannot be lowered on litert: atan2 in teacher.blocks.2.norm; "
        "atan2 in teacher.blocks.3.norm"
    )
    assert error.remedy == "write it in other operators"


def test_a_refusal_crosses_the_border_of_a_process_whole() -> None:
    error = pickle.loads(pickle.dumps(NotLoweredError("teacher-2", "litert", REFUSALS)))
    assert (error.name, error.backend, error.refusals) == ("teacher-2", "litert", REFUSALS)
