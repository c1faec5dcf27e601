"""How many evaluation images a device labels: all of them, or as many as are quick enough."""

from __future__ import annotations

from pipeline.core.progress import Progress
from pipeline.harness.placement import Deployment

#: The evaluation takes no longer by much, in seconds, all stages together.
EVALUATION_S = 120.0


def images_in_time(deployment: Deployment, parity_s: float) -> int:
    """How many of a bundle's evaluation images, at least one, every stage can label in time.

    Where that is not all of them it is a power of two, so that runs of about the same speed label
    the same images.

    Args:
        deployment: of the bundle.
        parity_s: how long the task ``parity`` took, in which every stage and arm answers to every
            golden image. It loads programs, too, so that an inference takes no longer than its
            share.
    """
    answers = (deployment.stages + len(deployment.arms)) * deployment.golden_images
    images = EVALUATION_S / (parity_s / answers * deployment.stages)
    if images >= deployment.evaluation_images:
        return deployment.evaluation_images
    return 1 << max(0, int(images).bit_length() - 1)


def say_if_fewer(evaluated: int, images: int, progress: Progress) -> None:
    """Says that of so many images fewer are evaluated, and why."""
    if evaluated < images:
        progress.say(
            f"accuracy of the first {evaluated} of {images} evaluation images: all of them would "
            f"take longer than {EVALUATION_S:g} s"
        )
