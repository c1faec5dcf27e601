"""From a bundle to a second opinion on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.bundle.verify import Bundle
from pipeline.core.errors import UsageError
from pipeline.settings import PLAIN

if TYPE_CHECKING:
    from pipeline.lowering.litert.cross_check import CrossCheck


def cross_check(bundle: Bundle, judge: str) -> CrossCheck:
    """Has another library run every unit and stage of a bundle on its golden inputs.

    Args:
        bundle: of the LiteRT backend.
        judge: ``tf``, which is TensorFlow's tf.lite.

    Raises:
        UsageError: there is no such judge, it is not installed, or it cannot read these programs.
        IntegrityError: what it computes deviates by more than the bundle allows.
    """
    import numpy as np

    from pipeline.lowering.litert.cross_check import cross_check_with_tensorflow
    from pipeline.lowering.litert.interpreter import Floats

    manifest = bundle.manifest
    if judge != "tf":
        raise UsageError(f"--cross-check {judge!r}", "the one there is: --cross-check tf")
    if manifest.backend.name != "litert":
        raise UsageError(
            f"{bundle.root} holds programs for {manifest.backend.name}, tf.lite reads .tflite",
            "build with --backend litert to have a second opinion",
        )
    golden = manifest.golden
    answer = manifest.model.answer.shape[1:]

    def floats(path: str, *shape: int) -> Floats:
        return np.fromfile(bundle.root / path, dtype="<f4").reshape(shape)

    opinion = cross_check_with_tensorflow(
        {unit.id: (bundle.root / unit.path).read_bytes() for unit in manifest.artifacts},
        {stage.route: stage.units for stage in manifest.stages},
        floats(golden.inputs.path, golden.images, *manifest.input.shape[1:]),
        {
            stage.route: floats(golden.outputs[stage.index].path, golden.images, *answer)
            for stage in manifest.stages
        },
    )
    units = {unit.id for unit in manifest.artifacts if unit.precision != PLAIN}
    stages = {stage.route for stage in manifest.stages if units.intersection(stage.units)}
    opinion.require(golden.tolerance, units | stages, golden.least_sqnr_db or 0)
    return opinion
