"""int8 for LiteRT: ai-edge-quantizer on a converted float32 program, before its names are cut."""

from __future__ import annotations

import re
from collections.abc import Collection

from pipeline.lowering.litert.flatbuffer import LOOKUP, WeightedLayer, weighted_layers
from pipeline.lowering.litert.interpreter import TfliteProgram

#: Operators with weights, which the delegate, or the lookup itself, runs with int8 ones, too.
_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "EMBEDDING_LOOKUP")

# What a layer reads is looked through twice and rewritten at every run before it multiplies in
# int8. Measured with the students of benchmarks/models/networks.py; see docs/precision.md.
#: Of the values that a layer reads: packing fewer weights takes no time that int8 could save.
_FEW_WEIGHTS = 0.1
#: Of each value that it reads: fewer take no longer in float32 than that preparation.
_FEW_PRODUCTS = 64
#: Kernels for int8 read channels by eights at least and multiply the rest by zeros.
_FEW_CHANNELS = 8


def quantized(data: bytes) -> bytes:
    """A program by the recipe ``dynamic_wi8_afp32``.

    Weights are int8, a scale each channel; the activations that they meet become int8 while the
    program runs. Tensors between operators stay float32, and so do the edges. What the delegate
    would then not run stays float32 altogether, and so do layers that would take longer in int8,
    but for the one that loses least: a program of this recipe has int8 weights.

    Args:
        data: a .tflite file with names of tensors, which tell its operators apart.
    """
    layers = sorted(weighted_layers(data), key=lambda layer: layer.weights / layer.values)
    kept = {layer.output for layer in layers[:-1] if not int8_pays(layer)}
    while True:
        found = _without(data, kept)
        outside = TfliteProgram(found).outside_delegates()
        left = {node.output for node in outside if node.operator not in LOOKUP} - kept
        if not left:
            return found
        kept |= left


def int8_pays(layer: WeightedLayer) -> bool:
    """Whether int8 saves a layer more than its preparation costs, at the first run and later."""
    if layer.weights >= _FEW_WEIGHTS * layer.values:
        return True
    return layer.products > _FEW_PRODUCTS * layer.values and layer.channels >= _FEW_CHANNELS


def _without(data: bytes, kept: Collection[str]) -> bytes:
    """A program quantized but for the operators that give some tensors."""
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

    quantizing = quantizer.Quantizer(bytearray(data))
    for name in _OPERATORS:
        operation = qtyping.TFLOperationName(name)
        quantizing.add_dynamic_config(regex=".*", operation_name=operation, num_bits=8)
        for tensor in sorted(kept):
            quantizing.update_quantization_recipe(
                regex=f"^{re.escape(tensor)};",
                operation_name=operation,
                algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
            )
    result = quantizing.quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)
