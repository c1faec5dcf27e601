"""Host and harness name the same logits of a label map; harness_test.cc has the other half."""

from __future__ import annotations

from pipeline.harness.excerpt import excerpt_places


def test_few_values_are_all_taken() -> None:
    assert excerpt_places(5) == [0, 1, 2, 3, 4]


def test_of_many_values_those_are_taken_that_the_harness_takes() -> None:
    places = excerpt_places(4096 * 336)
    assert len(places) == 4096
    assert (places[0], places[1], places[4000], places[-1]) == (0, 336, 1344327, 4096 * 336 - 1)


def test_every_class_of_a_map_is_among_them() -> None:
    """Those of one pixel lie beside each other: a step of as many would see one class alone."""
    for side, classes in ((256, 21), (224, 19), (128, 16), (512, 2)):
        places = excerpt_places(side * side * classes)
        assert {place % classes for place in places} == set(range(classes))
