"""The patterns by which XNNPACK's passes find attention and bilinear upsampling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from torch import fx

from pipeline.lowering.graph import is_call


@contextmanager
def matching_patterns(body: fx.GraphModule) -> Iterator[None]:
    """Makes XNNPACK's passes skip the patterns of operators that a graph does not have.

    They export examples of them and look for the same graphs, which costs every process four
    seconds of CPU time before its first program. Our rules rewrite both operators into others, of
    which none looks like these examples.
    """
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa

    names = " ".join(str(node.target) for node in body.graph.nodes if is_call(node))
    with ExitStack() as stack:
        if "scaled_dot_product_attention" not in names:
            stack.enter_context(mock.patch.object(sdpa, "get_graphs", list))
        if "upsample_bilinear" not in names:
            stack.enter_context(mock.patch.object(bilinear_2d, "get_graphs_dict", dict))
        yield
