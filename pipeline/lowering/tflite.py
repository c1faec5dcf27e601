"""What is inside a .tflite file: its operators, and the names that it can do without.

The format: schema.fbs of google-ai-edge/LiteRT, read by the code that ai-edge-litert generates
from it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


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


def transposed_edges(data: bytes) -> list[str]:
    """Which of ``input`` and ``output`` a TRANSPOSE reads or writes."""
    model = _read(data)
    graph = model.subgraphs[0]
    turns = [node for node in graph.operators if _name(model, node) == "TRANSPOSE"]
    edges = {
        "input": any(node.inputs[0] in graph.inputs for node in turns),
        "output": any(node.outputs[0] in graph.outputs for node in turns),
    }
    return [name for name, turned in edges.items() if turned]


def _read(data: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def _name(model: Any, operator: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return str(code.customCode.decode())
    # Codes above 127 are only in the newer of the two fields.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if key.isupper()}
    return str(names.get(number, f"operator {number}"))
