"""Runs .tflite programs, by LiteRT's interpreter or by TensorFlow's, which has the same methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.lowering.litert.flatbuffer import Node

Floats = npt.NDArray[np.float32]


class TfliteProgram:
    """One program, ready to run.

    Args:
        program: the .tflite file.
        interpreter: the class to run it with; None for that of ai-edge-litert.
    """

    def __init__(self, program: bytes, interpreter: Callable[..., Any] | None = None) -> None:
        self._interpreter = (interpreter or _litert())(model_content=program, num_threads=1)
        self._interpreter.allocate_tensors()
        self._source = self._interpreter.get_input_details()[0]["index"]
        self._target = self._interpreter.get_output_details()[0]["index"]

    def run(self, inputs: Floats) -> Floats:
        """Each of ``[n, ...]`` by itself, in memory order; the outputs stacked."""
        outputs = []
        for item in inputs:
            self._interpreter.set_tensor(self._source, item[np.newaxis])
            self._interpreter.invoke()
            outputs.append(self._interpreter.get_tensor(self._target))
        return np.concatenate(outputs)

    def delegates(self) -> int:
        """How many delegates the program is cut into."""
        # There is no public way to ask; the interpreter appends what it delegated to.
        nodes = self._interpreter._get_ops_details()
        return sum(map(_is_delegate, nodes))

    def outside_delegates(self) -> list[Node]:
        """The operators that no delegate runs."""
        nodes = self._interpreter._get_ops_details()
        tensors = {
            found["index"]: found["name"] for found in self._interpreter.get_tensor_details()
        }
        makers = {
            int(out): node for node in nodes if not _is_delegate(node) for out in node["outputs"]
        }
        inside: set[int] = set()
        for delegate in filter(_is_delegate, nodes):
            # Its operators lie between the tensors that it reads and those that it gives.
            reached = {int(tensor) for tensor in delegate["inputs"]}
            waiting = [int(tensor) for tensor in delegate["outputs"]]
            while waiting:
                tensor = waiting.pop()
                if tensor in reached or tensor not in makers:
                    continue
                reached.add(tensor)
                inside.add(makers[tensor]["index"])
                waiting += [int(source) for source in makers[tensor]["inputs"]]
        return [
            Node(node["op_name"], str(tensors.get(int(node["outputs"][0]), "")))
            for node in nodes
            if not _is_delegate(node) and node["index"] not in inside
        ]


def _is_delegate(node: Any) -> bool:
    return bool(node["op_name"] == "DELEGATE")


def _litert() -> Callable[..., Any]:
    from ai_edge_litert.interpreter import Interpreter

    found: Callable[..., Any] = Interpreter
    return found
