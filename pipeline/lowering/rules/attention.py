"""Attention as two products with a softmax between them, heads and images in one axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from pipeline.lowering.rewrite import Call
from pipeline.lowering.rules.elementwise import times

#: The product of two matrices or of batches of them; and the sizes rows, inner, columns.
_Product = Callable[[Tensor, Tensor, tuple[int, int, int]], Tensor]


def scaled_dot_product(call: Call) -> Tensor | None:
    """`scaled_dot_product_attention` without dropout; masks are constant, or added as floats."""
    return _attention(call, lambda left, right, _: torch.bmm(left, right))


def masked_scaled_dot_product(call: Call) -> Tensor | None:
    """The same for LiteRT, where it is not taken: with a mask, a single head, or shared keys."""
    mask, _, causal = call.node.args[3:6]
    queries, keys = call.shape_of(0), call.shape_of(1)
    if math.prod(keys[:-2]) == 1:
        return _attention(call, lambda left, right, sizes: _by_halves(call, left, right, sizes))
    shared = queries[:-2] != keys[:-2]
    return scaled_dot_product(call) if mask is not None or causal or shared else None


def _attention(call: Call, matrix_product: _Product) -> Tensor | None:
    query, key, value, mask, dropout, causal = call.arguments[:6]
    scale = call.node.kwargs.get("scale")
    queries, keys, values = (call.shape_of(index) for index in range(3))
    mask = call.value_of(3)
    heads = _heads_of_each(queries, keys)
    if dropout or not heads or keys[:-2] != values[:-2]:
        return None
    given = call.node.args[3] is not None and mask is None
    if given and (heads > 1 or not _may_be_added(call)):
        return None
    if causal:
        mask = torch.ones(queries[-2], keys[-2], dtype=torch.bool).tril()
    scale = 1 / math.sqrt(queries[-1]) if scale is None else scale
    # Heads that share keys lie one behind the other, as further tokens.
    tokens, others = heads * queries[-2], keys[-2]
    query = query.reshape([-1, tokens, queries[-1]])
    key, value = key.reshape([-1, others, keys[-1]]), value.reshape([-1, others, values[-1]])
    scores = matrix_product(query * scale, key.transpose(1, 2), (tokens, queries[-1], others))
    scores = scores.reshape([-1, tokens, others])
    if mask is not None:
        full = _summand(mask).expand(*queries[:-1], others).reshape(-1, tokens, others)
        scores = scores + call.constant(full)
    elif given:
        rows, columns = call.shape_of(3)[-2:]
        scores = scores + call.arguments[3].reshape([-1, rows, columns])
    mixed = matrix_product(torch.softmax(scores, -1), value, (tokens, others, values[-1]))
    return mixed.reshape(list(call.target_shape))


def _heads_of_each(queries: tuple[int, ...], keys: tuple[int, ...]) -> int:
    """How many heads of queries, one behind the other, share one of keys; 0 if that is unclear."""
    if queries[:-2] == keys[:-2]:
        return 1
    if len(queries) != len(keys) or queries[:-3] != keys[:-3] or queries[-3] % keys[-3]:
        return 0
    return queries[-3] // keys[-3]


def _may_be_added(call: Call) -> bool:
    """Whether a mask that is computed, such as of padding, is of floats, for all heads or each."""
    mask, shape, heads = call.node.args[3], call.shape_of(3), call.shape_of(0)[:-2]
    if not isinstance(mask, fx.Node) or mask.meta["tensor_meta"].dtype != torch.float32:
        return False
    return len(shape) > 1 and math.prod(shape[:-2]) in (1, math.prod(heads))


def matrix_product(call: Call) -> Tensor | None:
    """``a @ b`` of matrices in batches, as one batch; of a constant, as a layer."""
    left, right = call.arguments
    first, second = call.shape_of(0), call.shape_of(1)
    if call.value_of(0) is not None and len(first) == 2 and len(second) > 2:
        return F.linear(right.transpose(-1, -2), left).transpose(-1, -2)
    if min(len(first), len(second)) < 2 or max(len(first), len(second)) < 3:
        return None
    if (matrix := call.value_of(1)) is not None and len(second) == 2:
        return F.linear(left, call.constant(matrix.t()))
    if _shared(first, second):
        flat = torch.bmm(*_merged(left, first, right, second))
    elif _shared(second, first):
        right, left = right.transpose(-1, -2), left.transpose(-1, -2)
        turned = (*second[:-2], second[-1], second[-2]), (*first[:-2], first[-1], first[-2])
        flat = torch.bmm(*_merged(right, turned[0], left, turned[1]))
        *batch, rows, columns = call.target_shape
        return flat.reshape([*batch, columns, rows]).transpose(-1, -2)
    else:
        return None
    return flat.reshape(list(call.target_shape))


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether each matrix of a second batch is multiplied by as many neighbors of the first."""
    missing = len(first) - len(second)
    if missing < 0:
        return False
    batch, other = first[:-2], (1,) * missing + second[:-2]
    last = max((i + 1 for i, size in enumerate(other) if size != 1), default=0)
    return batch[:last] == other[:last]


def _merged(
    left: Tensor, first: tuple[int, ...], right: Tensor, second: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Both as batches of matrices, of which neighbors on the left are one if they share a right."""
    count = math.prod(second[:-2])
    rows = math.prod(first[:-1]) // count
    return left.reshape([count, rows, first[-1]]), right.reshape([count, *second[-2:]])


def sum_with_matrix_product(call: Call) -> Tensor:
    """`baddbmm`: a sum with a product of matrices in batches."""
    return _sum_with(call, torch.bmm(*call.arguments[1:3]))


def sum_with_product_with_one(call: Call) -> Tensor:
    """The same for LiteRT, where batches of one are another matter: see `_by_halves`."""
    left, right = call.arguments[1:3]
    first, second = call.shape_of(1), call.shape_of(2)
    if first[0] != 1 or call.value_of(2) is not None:
        return sum_with_matrix_product(call)
    product = _by_halves(call, left, right, (first[1], first[2], second[2]))
    return _sum_with(call, product.reshape([1, first[1], second[2]]))


def _sum_with(call: Call, product: Tensor) -> Tensor:
    """A product and the first argument, each times its factor."""
    scaled = times(product, call.node.kwargs.get("alpha", 1))
    factor = call.node.kwargs.get("beta", 1)
    if factor == 0:  # whatever the first argument is: people give an empty tensor
        return scaled
    return times(call.arguments[0], factor) + scaled


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
