"""One start of a network in another inference library: benchmarks/peers.py runs this in a process.

    python benchmarks/peer_run.py onnxruntime|mnn MODEL INPUT.npy EXPECTED.npy INFERENCES

Prints one line of JSON. Times begin after the library is imported; so does memory, for Python and
its packages are no part of what an app would ship.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

Array = Any
#: Loads a model and returns what runs it once.
Load = Callable[[str, Array], Callable[[], Array]]


def onnxruntime() -> Load:
    """A model that was optimized before, in its own format: nothing is rewritten when it loads."""
    import onnxruntime as ort

    def load(model: str, image: Array) -> Callable[[], Array]:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: image})[0]

    return load


def mnn() -> Load:
    """A model that its converter wrote, in float32."""
    import MNN

    def load(model: str, image: Array) -> Callable[[], Array]:
        interpreter = MNN.Interpreter(model)
        session = interpreter.createSession({"backend": "CPU", "numThread": 1, "precision": "high"})
        given = interpreter.getSessionInput(session)
        shape = image.shape
        held = MNN.Tensor(shape, MNN.Halide_Type_Float, image, MNN.Tensor_DimensionType_Caffe)

        def run() -> Array:
            given.copyFrom(held)
            interpreter.runSession(session)
            answer = interpreter.getSessionOutput(session)
            count = answer.getShape()
            host = MNN.Tensor(
                count,
                MNN.Halide_Type_Float,
                np.zeros(count, np.float32),
                MNN.Tensor_DimensionType_Caffe,
            )
            answer.copyToHostTensor(host)
            return np.array(host.getData(), np.float32).reshape(count)

        return run

    return load


def kilobytes(key: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main() -> None:
    """Loads, answers once, answers some more, compares."""
    library, model, image, expected, inferences = sys.argv[1:]
    load = {"onnxruntime": onnxruntime, "mnn": mnn}[library]()
    given, wanted = np.load(image), np.load(expected)
    before = kilobytes("VmRSS")
    begin = time.perf_counter_ns()
    run = load(model, given)
    loaded = time.perf_counter_ns()
    answer = run()
    first = time.perf_counter_ns()
    steady = []
    for _ in range(int(inferences)):
        start = time.perf_counter_ns()
        run()
        steady.append(time.perf_counter_ns() - start)
    print(
        json.dumps(
            {
                "load_ms": (loaded - begin) / 1e6,
                "first_ms": (first - loaded) / 1e6,
                "steady_ms": median(steady) / 1e6,
                "memory_mb": (kilobytes("VmHWM") - before) * 1024 / 1e6,
                "deviation": float(np.abs(answer - wanted).max() / np.abs(wanted).max()),
            }
        )
    )


if __name__ == "__main__":
    main()
