"""Attention as two products with a softmax between them, heads and images in one axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from pipeline.lowering.rewrite import Call

#: The product of two matrices or of batches of them; and the sizes rows, inner, columns.
_Product = Callable[[Tensor, Tensor, tuple[int, int, int]], Tensor]


def scaled_dot_product(call: Call) -> Tensor | None:
    """`scaled_dot_product_attention` without dropout; masks are those that are constant."""
    return _attention(call, lambda left, right, _: torch.bmm(left, right))


def masked_scaled_dot_product(call: Call) -> Tensor | None:
    """The same for LiteRT, where it is not taken: with a mask, or with a single head."""
    mask, _, causal = call.node.args[3:6]
    if math.prod(call.shape_of(1)[:-2]) == 1:
        return _attention(call, lambda left, right, sizes: _by_halves(call, left, right, sizes))
    return scaled_dot_product(call) if mask is not None or causal else None


def _attention(call: Call, matrix_product: _Product) -> Tensor | None:
    query, key, value, mask, dropout, causal = call.arguments[:6]
    scale = call.node.kwargs.get("scale")
    queries, keys, values = (call.shape_of(index) for index in range(3))
    mask = call.value_of(3)
    if dropout or call.node.kwargs.get("enable_gqa") or queries[:-2] != keys[:-2]:
        return None
    if mask is None and call.node.args[3] is not None:
        return None
    if causal:
        mask = torch.ones(queries[-2], keys[-2], dtype=torch.bool).tril()
    scale = 1 / math.sqrt(queries[-1]) if scale is None else scale
    query, key, value = (
        part.reshape([-1, *sizes[-2:]])
        for part, sizes in zip((query, key, value), (queries, keys, values), strict=True)
    )
    tokens, others = queries[-2], keys[-2]
    scores = matrix_product(query * scale, key.transpose(1, 2), (tokens, queries[-1], others))
    scores = scores.reshape([-1, tokens, others])
    if mask is not None:
        full = _summand(mask).expand(*queries[:-1], others).reshape(-1, tokens, others)
        scores = scores + call.constant(full)
    mixed = matrix_product(torch.softmax(scores, -1), value, (tokens, others, values[-1]))
    return mixed.reshape(list(call.target_shape))


def matrix_product(call: Call) -> Tensor | None:
    """``a @ b`` of matrices in batches of equal shape, as one batch; of a constant, as a layer."""
    left, right = call.arguments
    first, second = call.shape_of(0), call.shape_of(1)
    if call.value_of(0) is not None and len(first) == 2 and len(second) > 2:
        return F.linear(right.transpose(-1, -2), left).transpose(-1, -2)
    if len(first) < 3 or first[:-2] != second[:-2]:
        return None
    flat = torch.bmm(left.reshape([-1, *first[-2:]]), right.reshape([-1, *second[-2:]]))
    return flat.reshape(list(call.target_shape))


def product_with_one(call: Call) -> Tensor | None:
    """``a @ b`` where `b` is a single matrix that is no constant, for LiteRT: see `_by_halves`."""
    left, right = call.arguments[:2]
    first, second = call.shape_of(0), call.shape_of(1)
    if call.value_of(1) is not None or min(len(first), len(second)) < 2:
        return None
    if math.prod(second[:-2]) != 1:
        return None
    sizes = math.prod(first[:-1]), second[-2], second[-1]
    return _by_halves(call, left, right, sizes).reshape(list(call.target_shape))


def _by_halves(call: Call, left: Tensor, right: Tensor, sizes: tuple[int, int, int]) -> Tensor:
    """The product of two matrices, as that of both halves of the rows of the left one.

    The converter makes a fully connected layer of a single product, whose weights are the right
    matrix, and the delegate wants weights that are constant; it takes two products at once.

    Args:
        call: that this is a part of.
        left: ``[..., rows, inner]``.
        right: ``[..., inner, columns]``, one matrix.
        sizes: rows (of all matrices on the left), inner, columns.
    """
    rows, inner, columns = sizes
    left, right = left.reshape([rows, inner]), right.reshape([1, inner, columns])
    if rows % 2:
        left = torch.cat([left, call.constant(torch.zeros(1, inner))])
    halves = torch.bmm(left.reshape([2, -1, inner]), torch.cat([right, right]))
    matrix_product = halves.reshape([-1, columns])
    return torch.ops.aten.slice.Tensor(matrix_product, 0, 0, rows) if rows % 2 else matrix_product


def filled(call: Call) -> Tensor | None:
    """`masked_fill` where a constant says, as by a causal mask."""
    mask = call.value_of(1)
    return None if mask is None else _part(call, 0, ~mask) + _part(call, 2, mask)


def selected(call: Call) -> Tensor | None:
    """`where` of a constant condition."""
    mask = call.value_of(0)
    return None if mask is None else _part(call, 1, mask) + _part(call, 2, ~mask)


def _part(call: Call, index: int, mask: torch.Tensor) -> Tensor:
    """An argument where a mask is true, and 0 elsewhere."""
    mask = mask.reshape([1] * (len(call.target_shape) - mask.dim()) + list(mask.shape))
    source = call.node.args[index]
    value = call.value_of(index) if isinstance(source, fx.Node) else torch.tensor(source)
    if value is None:
        whole: Tensor = call.arguments[index]
        return whole * call.constant(mask.float())
    return call.constant(torch.where(mask, value.float().clamp(-_MOST, _MOST), 0.0))


def _summand(mask: torch.Tensor) -> torch.Tensor:
    """What is added to scores."""
    if mask.dtype == torch.bool:
        return torch.where(mask, 0.0, -_MOST)
    return mask.clamp(min=-_MOST)


#: In place of infinity: differences of infinities are not numbers.
_MOST = torch.finfo(torch.float32).max / 4
