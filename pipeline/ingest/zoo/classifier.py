"""An image classifier of the transformers library as a network of tensors alone."""

from __future__ import annotations

from torch import Tensor

from pipeline.ingest.inner_network import InnerNetwork


class ImageClassifier(InnerNetwork):
    """A classifier that takes images and gives logits, not a table of outputs.

    Its network is of a class of the library called ``...ForImageClassification``.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of images ``[n, channels, height, width]``."""
        logits: Tensor = self.run_inner(pixel_values=images).logits
        return logits
