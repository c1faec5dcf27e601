"""What is inside a .tflite file: its operators, and the names that it can do without.

The format: schema.fbs of google-ai-edge/LiteRT, read by the code that ai-edge-litert generates
from it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

#: What the converter makes of a lookup of tokens: no delegate runs it.
LOOKUP = ("CAST", "RESHAPE", "EMBEDDING_LOOKUP")


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a program.

    Attributes:
        operator: such as ``CONV_2D``.
        output: the name of the tensor that it gives; the converter writes where it comes from.
    """

    operator: str
    output: str


@dataclass(frozen=True, slots=True)
class WeightedLayer:
    """A convolution or a linear layer.

    Attributes:
        output: as of `Node`.
        weights: how many numbers its kernel has.
        channels: of what the kernel reads.
        values: how many numbers it reads.
        products: how many multiplications it takes.
    """

    output: str
    weights: int
    channels: int
    values: int
    products: int


def without_tensor_names(data: bytes) -> bytes:
    """The same program with nameless tensors.

    The converter names them after Python classes and paths of the source code: 12 kB of a small
    block, and a program that would change with the place of a class. Signatures keep their names.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = b""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def count_operators(data: bytes) -> dict[str, int]:
    """How often each operator occurs, such as ``{"CONV_2D": 7}``."""
    model = _read(data)
    counts = Counter(_name(model, operator) for operator in model.subgraphs[0].operators)
    return dict(sorted(counts.items()))


def weighted_layers(data: bytes) -> list[WeightedLayer]:
    """The convolutions, but for those of each channel by itself, and linear layers of a program."""
    model = _read(data)
    tensors = model.subgraphs[0].tensors
    found = []
    for node in model.subgraphs[0].operators:
        if _name(model, node) not in ("CONV_2D", "FULLY_CONNECTED"):
            continue
        source, kernel, target = (tensors[each] for each in (*node.inputs[:2], node.outputs[0]))
        if model.buffers[kernel.buffer].data is None:  # another operator gives it
            continue
        weights, values, given = (
            math.prod(map(int, each.shape)) for each in (kernel, source, target)
        )
        places = given // int(kernel.shape[0])
        name, channels = _text(target.name), int(kernel.shape[-1])
        found.append(WeightedLayer(name, weights, channels, values, weights * places))
    return found


def named_in(data: bytes, text: str) -> list[Node]:
    """The operators that a text names, such as what the interpreter says of those it lacks."""
    model = _read(data)
    graph = model.subgraphs[0]
    return [
        Node(name, _text(graph.tensors[node.outputs[0]].name))
        for node in graph.operators
        if (name := _name(model, node)) in text
    ]


def transposed_edges(data: bytes) -> list[Node]:
    """The TRANSPOSEs of images that read the input or write the output.

    Tokens have one order of axes only: what turns them round there is the module's own.
    """
    model = _read(data)
    graph = model.subgraphs[0]
    edges = {*graph.inputs, *graph.outputs}
    return [
        Node("TRANSPOSE", _text(graph.tensors[node.outputs[0]].name))
        for node in graph.operators
        if _name(model, node) == "TRANSPOSE"
        and not edges.isdisjoint({node.inputs[0], *node.outputs})
        and len(graph.tensors[node.outputs[0]].shape) == 4
    ]


def _read(data: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def _text(name: Any) -> str:
    return bytes(name or b"").decode(errors="replace")


def _name(model: Any, operator: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return str(code.customCode.decode())
    # Codes above 127 are only in the newer of the two fields.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if key.isupper()}
    return str(names.get(number, f"operator {number}"))
