"""Networks of benchmarks/models as other libraries read them; benchmarks/peers.py runs this.

    python benchmarks/peer_export.py FUNCTION FOLDER

Runs in the environment that has these libraries. Writes teacher and student, each as ONNX, as ONNX
Runtime's optimized model and as MNN's, an image, and the logits that PyTorch gives for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from benchmarks.models import networks
from pipeline.ingest.python import Network


class Whole(nn.Module):
    """A network as one module: its parts one after the other."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.parts = nn.Sequential(network.embedder, *list(network.blocks), network.classifier)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.parts(images)
        return logits


def main() -> None:
    """Writes everything into the folder."""
    function, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    given = getattr(networks, function)()
    image = torch.randn(1, *given.image_shape)
    np.save(folder / "image.npy", image.numpy())
    for name, network in (("teacher", given.teacher), ("student", given.student)):
        whole = Whole(network).eval()
        with torch.no_grad():
            np.save(folder / f"{name}.npy", whole(image).numpy())
            torch.onnx.export(whole, (image,), folder / f"{name}.onnx", dynamo=False)
        optimize(folder / name)
        convert(folder / name)


def optimize(model: Path) -> None:
    """Writes what ONNX Runtime makes of a model, for this processor."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(model.with_suffix(".ort"))
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(model.with_suffix(".onnx")), options)


def convert(model: Path) -> None:
    """Writes what MNN's converter makes of a model.

    By the compiled part of the package: its command `mnnconvert` installs a package with whatever
    pip is found, to report its use to MNN's authors.
    """
    import _tools

    given, made = (str(model.with_suffix(suffix)) for suffix in (".onnx", ".mnn"))
    command = ["mnnconvert", "-f", "ONNX", "--bizCode", "peers", "--modelFile", given]
    _tools.mnnconvert([*command, "--MNNModel", made])


if __name__ == "__main__":
    main()
