"""Functions of single values in sums, products, exponentials, minima and maxima.

Each formula holds for all finite values: exponentials are of numbers below 0 alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from pipeline.lowering.rewrite import Call

aten = torch.ops.aten

#: Above this, log(1 + exp(-x)) vanishes beside x in float32.
_NEGLIGIBLE = 17.0


def reversed_subtraction(call: Call) -> Tensor:
    """``1 - x``, and whatever else is `rsub`."""
    features, other, alpha = call.arguments
    return features * float(-alpha) + (float(other) if isinstance(other, int) else other)


def addition(call: Call) -> Tensor | None:
    """``add(x, y, alpha=a)`` and ``x + 1``."""
    left, right = call.arguments
    alpha: Any = call.node.kwargs.get("alpha", 1)
    if alpha != 1:
        return left + right * float(alpha)
    return left + float(right) if isinstance(right, int) else None


def subtraction(call: Call) -> Tensor | None:
    """``sub(x, y, alpha=a)`` and ``x - 1``."""
    left, right = call.arguments
    alpha: Any = call.node.kwargs.get("alpha", 1)
    if alpha != 1:
        return left - right * float(alpha)
    return left - float(right) if isinstance(right, int) else None


def product(call: Call) -> Tensor | None:
    """``x * 2``: an integer beside floats would be converted when the program runs."""
    left, right = call.arguments
    return left * float(right) if isinstance(right, int) else None


def quotient(call: Call) -> Tensor | None:
    """``x / 2``."""
    left, right = call.arguments
    return left / float(right) if isinstance(right, int) else None


def sum_with_product(call: Call) -> Tensor:
    """`addcmul`."""
    summand, left, right = call.arguments
    return summand + times(left * right, call.node.kwargs.get("value", 1))


def sum_with_quotient(call: Call) -> Tensor:
    """`addcdiv`."""
    summand, left, right = call.arguments
    return summand + times(torch.div(left, right), call.node.kwargs.get("value", 1))


def between(call: Call) -> Tensor:
    """`lerp`."""
    start, end, weight = call.arguments
    return start + (end - start) * (float(weight) if isinstance(weight, int) else weight)


def times(features: Tensor, factor: Any) -> Tensor:
    """A product with a number, unless that is 1."""
    return features if factor == 1 else features * float(factor)


def power(call: Call) -> Tensor | None:
    """``x ** 3``, ``x ** 0.5``: products, roots, quotients, and else exp of a product of log."""
    features, exponent = call.arguments
    match float(exponent):
        case 1.0:
            return features
        case 2.0 | 3.0 | 4.0:
            square = features * features
            return {2: square, 3: square * features, 4: square * square}[int(exponent)]
        case 0.5:
            return torch.sqrt(features)
        case -0.5:
            return torch.rsqrt(features)
        case -1.0:
            return _reciprocal(call, features)
    if float(exponent).is_integer() or exponent < 0:
        return None  # of negative values, too, or infinite at 0
    return torch.exp(torch.log(features) * float(exponent))


def exponential(call: Call) -> Tensor | None:
    """``2 ** x``."""
    base, features = call.arguments
    return torch.exp(features * math.log(base)) if base > 0 else None


def reciprocal(call: Call) -> Tensor:
    """``1 / x``."""
    return _reciprocal(call, call.arguments[0])


def _reciprocal(call: Call, features: Tensor) -> Tensor:
    one = call.constant(torch.ones([1] * len(call.shape)))
    return torch.div(one, features)


def square(call: Call) -> Tensor:
    (features,) = call.arguments
    return features * features


def clamp_min(call: Call) -> Tensor:
    features, least = call.arguments
    return torch.clamp(features, min=float(least))


def clamp_max(call: Call) -> Tensor:
    features, most = call.arguments
    return torch.clamp(features, max=float(most))


def hard_tanh(call: Call) -> Tensor | None:
    """`hardtanh` up to 1 from another number than -1, of which ExecuTorch reads no upper bound."""
    features, least, most = call.arguments
    return torch.clamp(features, least, most) if most == 1 and least != -1 else None


def from_zero_to_one(call: Call) -> Tensor | None:
    """A bound of values, or bounds that follow each other, to what lies between 0 and 1.

    LiteRT's converter makes one operator of them that the delegate lacks; that for 0 and 6 it has.
    """
    source, least, most = _bounds(call.node)
    if (least, most) != (0, 1) or not isinstance(source, fx.Node):
        return None
    return F.relu6(call.proxy(source) * 6.0) * (1 / 6)


def _bounds(node: Any) -> tuple[Any, float, float]:
    """What is bounded by a call and those before it, and by which two numbers."""
    if not isinstance(node, fx.Node) or node.target not in _BOUNDS:
        return node, -math.inf, math.inf
    least, most = _BOUNDS[node.target](*node.args[1:])
    if not all(isinstance(each, int | float) for each in (least, most)):
        return node, -math.inf, math.inf  # by tensors
    source, first, last = _bounds(node.args[0])
    return source, min(max(first, least), most), min(max(last, least), most)


def _clamp(least: Any = None, most: Any = None) -> tuple[Any, Any]:
    return -math.inf if least is None else least, math.inf if most is None else most


_BOUNDS: dict[Any, Callable[..., tuple[Any, Any]]] = {
    aten.clamp.default: _clamp,
    aten.clip.default: _clamp,
    aten.clamp_max.default: lambda most: (-math.inf, most),
    aten.clamp_min.default: lambda least: (least, math.inf),
    aten.hardtanh.default: lambda least=-1, most=1: (least, most),
    aten.relu.default: lambda: (0, math.inf),
    aten.relu6.default: lambda: (0, 6),
}


def hard_sigmoid(call: Call) -> Tensor:
    """Each value moved up by 3, bounded by 0 and 6, and divided by 6."""
    (features,) = call.arguments
    return F.relu6(features + 3.0) * (1 / 6)


def gelu(call: Call) -> Tensor | None:
    """GELU by tanh, which is another function than GELU and which XNNPACK takes for it."""
    if call.node.kwargs.get("approximate", "none") == "none":
        return None
    (features,) = call.arguments
    cubic = features * features * features * 0.044715 + features
    return (torch.tanh(cubic * math.sqrt(2 / math.pi)) + 1.0) * features * 0.5


def before_permutation(call: Call) -> Tensor | None:
    """A function of single values behind a permutation of axes, which it changes places with.

    LiteRT's converter cancels permutations against each other, but not across GELU and Hardswish,
    each of which it takes for one operator.
    """
    permutation: Any = call.node.args[0]
    if permutation.target is not aten.permute.default:
        return None
    source, axes = permutation.args
    target: Any = call.node.target
    values = target(call.proxy(source), *call.node.args[1:], **call.node.kwargs)
    permuted: Tensor = aten.permute.default(values, axes)
    return permuted


def elu(call: Call) -> Tensor:
    """ELU, SELU and CELU with their scales."""
    features, alpha, scale, input_scale = call.arguments
    return _elu(features, alpha, scale, input_scale)


def selu(call: Call) -> Tensor:
    (features,) = call.arguments
    return _elu(features, 1.6732632423543772, 1.0507009873554805, 1)


def celu(call: Call) -> Tensor:
    features, alpha = call.arguments
    return _elu(features, alpha, 1, 1 / alpha)


def _elu(features: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    below = torch.exp(torch.clamp(features, max=0.0) * float(input_scale)) - 1.0
    return F.relu(features) * float(scale) + below * float(alpha * scale)


def softplus(call: Call) -> Tensor | None:
    """Softplus, unless its threshold leaves a visible step that no backend takes."""
    features, beta, threshold = call.arguments
    return _softplus(features * float(beta)) * (1 / beta) if threshold >= _NEGLIGIBLE else None


def mish(call: Call) -> Tensor:
    (features,) = call.arguments
    return features * torch.tanh(_softplus(features))


def log_sigmoid(call: Call) -> Tensor:
    (features,) = call.arguments
    return torch.neg(_softplus(torch.neg(features)))


def _softplus(features: Tensor) -> Tensor:
    return F.relu(features) + torch.log(torch.exp(torch.neg(torch.abs(features))) + 1.0)


def soft_shrink(call: Call) -> Tensor:
    features, bound = call.arguments
    return features - torch.clamp(features, -bound, bound)


def leaky_relu(call: Call) -> Tensor:
    features, slope = call.arguments
    return _leaky_relu(features, slope)


def _leaky_relu(features: Tensor, slope: float | Tensor) -> Tensor:
    return F.relu(features) + torch.clamp(features, max=0.0) * slope


def leaky_relu_of_rrelu(call: Call) -> Tensor | None:
    """RReLU, which has the middle of its slopes where it is not trained."""
    features, lower, upper, training = call.arguments[:4]
    return None if training else _leaky_relu(features, (lower + upper) / 2)


def prelu(call: Call) -> Tensor | None:
    """PReLU of vectors and tokens; the delegate's own takes images."""
    features, slopes, rank = call.arguments[0], call.value_of(1), len(call.shape)
    if slopes is None or rank == 4:
        return None
    return _leaky_relu(features, call.constant(slopes.reshape([1, -1, *[1] * (rank - 2)])))
