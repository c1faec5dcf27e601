"""Looking tokens up in a table, which no delegate does: as a product with rows of one 1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from pipeline.lowering.rewrite import Call

aten = torch.ops.aten

_CASTS = {aten.to.dtype, aten.to.dtype_layout, aten._to_copy.default}


def embedding(call: Call) -> Tensor | None:
    """`nn.Embedding` of tokens that came as floats.

    ``relu(1 - |token - place|)`` is 1 at the token's place and 0 everywhere else, exactly, so that
    the product is the table's row to the last bit. It takes as many steps as the table has entries.
    """
    table, source = call.value_of(0), call.node.args[1]
    while isinstance(source, fx.Node) and source.target in _CASTS:
        source = source.args[0]
    if table is None or not isinstance(source, fx.Node):
        return None
    if source.meta["tensor_meta"].dtype != torch.float32:
        return None
    # A cast cuts off what is behind the point, and what is not below 0 was rounded down by it.
    tokens = torch.relu(torch.floor(call.proxy(source))).reshape([*call.sizes(source), 1])
    places = call.constant(torch.arange(len(table), dtype=torch.float32))
    rows = torch.relu(1.0 - torch.abs(tokens - places))
    return F.linear(rows, call.constant(table.t()))
