"""The versions of what makes the things that caches keep.

A cached result is named by what it was made from and by the version of what made it. Raise a
version when the same inputs would give another result, and only then: a corrected docstring
retrains nothing. tests/test_producers.py holds each version against results that are kept in
tests/golden/producers.json, so that a change which forgot it is noticed; that test says how to
record them anew.
"""

from __future__ import annotations

#: Images and labels of a ``[data]`` table.
DATA = 2
#: The networks that sources give: a reference checkpoint's, a function's, Keras's.
INGEST = 1
#: Weights of a profile's model, from initialization to the last step of distillation.
TRAINING = 3
#: The labels that a model gives to images.
EVALUATION = 1
#: Programs, and how far they are from eager PyTorch.
LOWERING = 10
#: What int8 programs have beside that: which of their numbers are int8.
QUANTIZATION = 4
#: Which stages ship, and in which order.
SCHEDULE = 1
#: What a bundle and its control arms are made of.
BUNDLE = 3


def build_versions() -> tuple[int, ...]:
    """Of all that takes part in a build, but for what gives the network: its content is known."""
    return (DATA, TRAINING, EVALUATION, LOWERING, QUANTIZATION, SCHEDULE, BUNDLE)
