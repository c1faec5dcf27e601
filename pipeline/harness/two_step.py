"""What apps do that do not load block by block: the student alone, then the whole teacher.

Both are control arms, so that it takes no more than a plan of two stages beside them: the runtime
loads and swaps them as it does a bundle's. Nothing of it ships.
"""

from __future__ import annotations

import math

from pipeline.bundle.control import Controls
from pipeline.bundle.loading_plan import artifact_line, plan_text
from pipeline.bundle.manifest import Manifest
from pipeline.model.arm import STUDENT, TEACHER

#: Its measurement plan, beside that of the bundle.
TWO_STEP_PLAN = "two-step.plan"


def two_step_loading_plan(manifest: Manifest, controls: Controls) -> str | None:
    """The text of its loading.plan, which lies among the control arms; None without both of them.

    Args:
        manifest: of the bundle.
        controls: its control arms.
    """
    arms = {arm.name: arm for arm in controls.arms}
    if not {STUDENT, TEACHER} <= arms.keys():
        return None
    floats, answer = (math.prod(e.shape) for e in (manifest.input, manifest.model.answer))
    names = (STUDENT, TEACHER)
    programs = [artifact_line(name, arms[name].program, floats, answer) for name in names]
    stages = [[name] for name in names]
    return plan_text(manifest.backend, manifest.input, answer, programs, stages)
