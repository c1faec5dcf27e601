"""Names of classes, whose order is that of the logits."""

from __future__ import annotations

from pipeline.core.errors import UsageError


def require_label_order(
    right: tuple[str, ...], other: tuple[str, ...], what: str, reference: str
) -> None:
    """Refuses the same labels in another order; other names for them may be meant well.

    Args:
        right: names of the classes by index.
        other: the same number of names.
        what: where the others are from.
        reference: where the right ones are from.

    Raises:
        UsageError: the names are the same, but not their order.
    """
    if right != other and set(right) == set(other):
        index = next(index for index, name in enumerate(right) if name != other[index])
        raise UsageError(
            f"{what} has the labels in another order: label {index} is {other[index]!r}, "
            f"and {right[index]!r} in {reference}",
            "put the names into one order, which has to be that of the logits",
        )
