from __future__ import annotations

import pytest

from pipeline.core.errors import UsageError
from pipeline.model.route import Route, prefix_routes, routes_with


def units(route: str) -> str:
    return " ".join(str(unit) for unit in Route.parse(route).units())


def test_a_route_is_one_letter_a_block() -> None:
    assert str(Route.parse("TTSS")) == "TTSS"
    assert len(Route.parse("TTSS")) == 4


@pytest.mark.parametrize("text", ["", "TX", "ts", "T S"])
def test_other_letters_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="word of S and T"):
        Route.parse(text)


def test_the_paper_s_order_swaps_from_the_first_block_on() -> None:
    assert [str(route) for route in prefix_routes(3)] == ["SSS", "TSS", "TTS", "TTT"]


def test_pure_routes_need_no_converter() -> None:
    assert units("SSS") == "student-0 student-1 student-2"
    assert units("TTT") == "teacher-0 teacher-1 teacher-2"


def test_a_prefix_route_encodes_once_behind_its_last_teacher_block() -> None:
    assert units("TTSS") == "teacher-0 teacher-1 encoder-1 student-2 student-3"


def test_a_suffix_route_decodes() -> None:
    assert units("SST") == "student-0 student-1 decoder-1 teacher-2"


def test_every_change_of_variant_has_its_converter() -> None:
    assert units("TST") == "teacher-0 encoder-0 student-1 decoder-1 teacher-2"


def test_a_block_in_int8_is_a_program_of_its_own() -> None:
    assert units("ttS") == "teacher-int8-0 teacher-int8-1 encoder-1 student-2"
    assert [str(unit.plain) for unit in Route.parse("ttS").units()] == units("TTS").split()


def test_no_converter_stands_between_blocks_of_two_precisions() -> None:
    assert units("Ttt") == "teacher-0 teacher-int8-1 teacher-int8-2"
    assert str(Route.parse("Ttt").plain) == "TTT"


def test_further_routes_follow_the_prefix_routes_each_once() -> None:
    others = [Route.parse(text) for text in ("STS", "TTT", "STS")]
    assert [str(route) for route in routes_with(prefix_routes(3), others)] == [
        "SSS",
        "TSS",
        "TTS",
        "TTT",
        "STS",
    ]


def test_a_further_route_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="route TT has 2 blocks, the model 3"):
        routes_with(prefix_routes(3), [Route.parse("TT")])
