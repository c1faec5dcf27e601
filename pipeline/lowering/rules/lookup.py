"""Looking tokens up in a table, by the engine's own operator: no delegate looks anything up.

It reads the table where it lies in the program's file, a row for each token. As a product with rows
of one 1, which delegates take, it took longer for every table that was tried, of 20 rows, too, and
all of the table was packed before the first answer.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx

from pipeline.lowering.graph import is_call
from pipeline.lowering.rewrite import Call

aten = torch.ops.aten

_CASTS = {aten.to.dtype, aten.to.dtype_layout, aten._to_copy.default}
_VIEWS = {
    *(aten.flatten.using_ints, aten.reshape.default, aten.view.default),
    *(aten.slice.Tensor, aten.unsqueeze.default),
}


def embedding(call: Call) -> Tensor | None:
    """`nn.Embedding` of tokens that came as floats; what is none is the nearest that there is."""
    table, source = call.value_of(0), call.node.args[1]
    if table is None or not isinstance(source, fx.Node):
        return None
    floats = _before_casts(call, source)
    if floats is None:
        return None
    last = float(len(table) - 1)
    # The cast cuts off what is behind the point. LiteRT's delegate lacks the operator that its
    # converter makes of a clamp between 0 and 1.
    tokens = torch.clamp(floats, 0.0, 1.5 if last == 1 else last)
    found: Tensor = aten.embedding.default(call.constant(table), aten.to.dtype(tokens, torch.int32))
    return found


def _before_casts(call: Call, node: fx.Node) -> Tensor | None:
    """Tokens as the floats that they were; views of them are taken there, inside the delegate."""
    if not is_call(node) and node.op != "placeholder":
        return None
    if node.meta["tensor_meta"].dtype == torch.float32:
        return call.proxy(node)
    if node.target not in _CASTS | _VIEWS:
        return None
    found = _before_casts(call, cast(fx.Node, node.args[0]))
    if found is None or node.target in _CASTS:
        return found
    return cast(Tensor, cast(Any, node.target)(found, *node.args[1:]))
