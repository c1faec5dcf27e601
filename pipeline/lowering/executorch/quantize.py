"""int8 for ExecuTorch: torchao's PT2E flow with the quantizer of the XNNPACK delegate."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx, nn

from pipeline.lowering.capture import operator_name
from pipeline.lowering.graph import OperatorGraph, is_call
from pipeline.settings import Precision

if TYPE_CHECKING:
    from collections.abc import Iterator


def quantized(graph: OperatorGraph, recipe: Precision, items: Sequence[Tensor]) -> nn.Module:
    """A module like a graph whose weights are int8, with a scale each channel; its edges are float.

    What a rule put in place of an operator stays float32: the means of a layer normalization are
    linear maps to the delegate, and no weights that anybody trained.

    Args:
        graph: rewritten for the delegate.
        recipe: ``static_wi8_ai8``: activations are int8, too, with scales that these items set;
            ``dynamic_wi8_afp32``: only those of linear layers are, with scales of every run.
        items: inputs ``[1, ...]`` in the memory order of the edges; the first is the example.
    """
    with _quiet():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        dynamic = recipe == "dynamic_wi8_afp32"
        config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
        quantizer = XNNPACKQuantizer()
        # The others look for batch normalization, which is folded: a third of the time for nothing.
        quantizer.SUPPORTED_PATTERNS = [
            pattern for pattern in XNNPACKQuantizer.SUPPORTED_PATTERNS if not pattern.is_qat
        ]
        if dynamic:
            # Dynamic convolutions lower without an error, and fail when they run.
            quantizer.set_operator_type(torch.ops.aten.linear.default, config)
        else:
            quantizer.set_global(config)
        quantizer.set_filter_function(lambda node: _of_the_user(graph, node))
        exported = torch.export.export(graph, (items[0],))
        prepared = prepare_pt2e(cast(Any, exported.module()), quantizer)
        for item in items:
            prepared(item)
        converted = cast(fx.GraphModule, convert_pt2e(prepared))
    _drop_unused(converted)
    return converted


def _drop_unused(module: fx.GraphModule) -> None:
    """Removes tensors that nothing reads: a program would carry float32 weights beside int8 ones.

    The exporter leaves parameters out that nothing reads, but buffers it keeps, as a graph has its
    constants.
    """
    read = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    for name, _ in [*module.named_buffers(), *module.named_parameters()]:
        if name not in read:
            owner, _, attribute = name.rpartition(".")
            delattr(module.get_submodule(owner), attribute)


def _of_the_user(graph: OperatorGraph, node: fx.Node) -> bool:
    """Whether a call is one of the user's own; what is no call is."""
    origin = graph.origin_of(str(node.meta.get("nn_module_stack")))
    return not is_call(node) or origin is None or origin.operator == operator_name(node)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torchao's warnings of kernels for other processors and of its own deprecations."""
    logging.getLogger("torchao").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
