"""GELU written out by its formula, ``x * 0.5 * (1 + erf(x / sqrt(2)))``, for ExecuTorch.

The delegate takes GELU, but no erf.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from pipeline.lowering.graph import constant_of, is_constant
from pipeline.lowering.rewrite import Call
from pipeline.lowering.rules import elementwise

aten = torch.ops.aten

#: As users call them, and as rules write those with integers.
_SUMS = (aten.add.Tensor, operator.add)
_QUOTIENTS = (aten.div.Tensor, operator.truediv)
_PRODUCTS = (aten.mul.Tensor, operator.mul)


def product_or_gelu(call: Call) -> Tensor | None:
    """A product: GELU if it is one, and else as any other."""
    found = _gelu_of(call)
    return F.gelu(call.proxy(found)) if found else elementwise.product(call)


def _gelu_of(call: Call) -> fx.Node | None:
    """What a product is GELU of, in whatever order its factors are."""
    factor, parts = _factors(call, call.node)
    for part in parts:
        if part.target not in _SUMS or "alpha" in part.kwargs:
            continue
        one, terms = _numbers(call, part.args[:2])
        if one != [1.0] or len(terms) != 1 or terms[0].target is not aten.erf.default:
            continue
        inner: Any = terms[0].args[0]
        scale, (source, *more) = _factors(call, inner, depth=1)
        rest = [other for other in parts if other is not part]
        own, others = _factors(call, source)
        same = sorted(rest, key=id) == sorted(others, key=id)
        if not more and same and _close(scale, math.sqrt(0.5)) and _close(factor, own / 2):
            return source
    return None


def _factors(call: Call, node: fx.Node, depth: int = 8) -> tuple[float, list[fx.Node]]:
    """A node as a number times some nodes."""
    if depth and node.target in (*_PRODUCTS, *_QUOTIENTS):
        numbers, nodes = _numbers(call, node.args[:2])
        if node.target in _QUOTIENTS:
            if nodes != [node.args[0]] or not numbers[0]:
                return 1.0, [node]
            numbers = [1 / numbers[0]]
        found = [_factors(call, each, depth - 1) for each in nodes]
        factor = math.prod([*numbers, *(number for number, _ in found)])
        return factor, [part for _, parts in found for part in parts]
    return 1.0, [node]


def _numbers(call: Call, arguments: Any) -> tuple[list[float], list[fx.Node]]:
    """Arguments that are numbers, constant tensors of one element too, and those that are not."""
    numbers, nodes = [], []
    for argument in arguments:
        if not isinstance(argument, fx.Node):
            numbers.append(float(argument))
        elif is_constant(argument) and constant_of(call.body, argument).numel() == 1:
            numbers.append(float(constant_of(call.body, argument).item()))
        else:
            nodes.append(argument)
    return numbers, nodes


def _close(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-6)
