"""Attention as two products with a softmax between them, heads and images in one axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from pipeline.lowering.rewrite import Call


def scaled_dot_product(call: Call) -> Tensor | None:
    """`scaled_dot_product_attention` without dropout; masks are those that are constant."""
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
    scores = torch.bmm(query * scale, key.transpose(1, 2))
    if mask is not None:
        full = _summand(mask).expand(*queries[:-1], keys[-2]).reshape(-1, queries[-2], keys[-2])
        scores = scores + call.constant(full)
    return torch.bmm(torch.softmax(scores, -1), value).reshape(list(call.target_shape))


def masked_scaled_dot_product(call: Call) -> Tensor | None:
    """The same where there is a mask, which LiteRT would apply by a selection; else it is taken."""
    mask, _, causal = call.node.args[3:6]
    return scaled_dot_product(call) if mask is not None or causal else None


def product(call: Call) -> Tensor | None:
    """``a @ b`` of matrices in batches of equal shape, as one batch."""
    left, right = call.arguments
    first, second = call.shape_of(0), call.shape_of(1)
    if len(first) < 3 or first[:-2] != second[:-2]:
        return None
    flat = torch.bmm(left.reshape([-1, *first[-2:]]), right.reshape([-1, *second[-2:]]))
    return flat.reshape(list(call.target_shape))


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
