"""A second opinion on LiteRT programs: the same bytes run by TensorFlow's own tf.lite.

tf.lite is the interpreter that LiteRT grew out of; it is built and released apart, so that a
mistake of one of them shows. TensorFlow is an optional extra of this project.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import UsageError
from pipeline.evaluation.parity import Parity, ParityLimit
from pipeline.lowering.litert.interpreter import Floats, TfliteProgram


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What tf.lite makes of a bundle.

    Attributes:
        version: of TensorFlow.
        units: by id, its outputs against LiteRT's on the same inputs.
        stages: by route, the chain's logits against those of eager PyTorch.
    """

    version: str
    units: Mapping[str, Parity]
    stages: Mapping[str, Parity]

    def require(
        self, tolerance: float, quantized: Collection[str] = (), least_sqnr_db: float = 0
    ) -> None:
        """Refuses deviations.

        Args:
            tolerance: the largest, relative as in `Parity.max_rel`.
            quantized: units and routes that are held against `least_sqnr_db` instead.
            least_sqnr_db: as `Parity.sqnr_db`.

        Raises:
            IntegrityError: names the first unit or stage that deviates.
        """
        for name, parity in (*self.units.items(), *self.stages.items()):
            limit = ParityLimit(tolerance, least_sqnr_db if name in quantized else None)
            limit.require(parity, f"{name} in tf.lite")


def cross_check_with_tensorflow(
    programs: Mapping[str, bytes],
    stages: Mapping[str, Sequence[str]],
    inputs: Floats,
    logits: Mapping[str, Floats],
) -> CrossCheck:
    """Runs every stage of a LiteRT bundle by tf.lite.

    Args:
        programs: .tflite files by unit id.
        stages: unit ids in execution order, by route.
        inputs: golden inputs as the first unit reads them, ``[n, height, width, channels]``.
        logits: what eager PyTorch makes of them ``[n, classes]``, by route.

    Raises:
        UsageError: TensorFlow is not installed.
    """
    tensorflow, interpreter = _interpreter()
    with warnings.catch_warnings():
        # That tf.lite will leave TensorFlow one day.
        warnings.simplefilter("ignore")
        by_tensorflow = {name: TfliteProgram(data, interpreter) for name, data in programs.items()}
    by_litert = {name: TfliteProgram(data) for name, data in programs.items()}
    units: dict[str, Parity] = {}
    chains: dict[str, Parity] = {}
    for route, chain in stages.items():
        features = inputs
        for name in chain:
            outputs = by_tensorflow[name].run(features)
            if name not in units:
                units[name] = Parity.of(outputs, by_litert[name].run(features))
            features = outputs
        chains[route] = Parity.of(features, logits[route])
    return CrossCheck(tensorflow, units, chains)


def _interpreter() -> tuple[str, Callable[..., Any]]:
    # TensorFlow's native code prints a page of hints otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
    except ImportError:
        raise UsageError(
            "tensorflow is not installed", "pip install '.[tensorflow]' (1.3 GB)"
        ) from None
    return str(tf.__version__), tf.lite.Interpreter
