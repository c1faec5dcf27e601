"""Keras models as blocks: units whose arithmetic is TensorFlow's, behind the interface of modules.

TensorFlow is an optional extra; this module imports it only where a Keras model is run.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from typing import Any

import torch
from torch import Tensor, nn


class KerasUnit(nn.Module):
    """A `keras.Model` with one input and one output, as a module for inference.

    Features are ``[n, channels, height, width]`` outside, as everywhere in this project, and
    ``[n, height, width, channels]`` for Keras. The parameters belong to Keras, not to this module.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model
        self._saved = b""
        self.training = False

    @property
    def model(self) -> Any:
        """The `keras.Model`."""
        if self._model is None:
            self._model = pickle.loads(self._saved)
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        # Another process imports TensorFlow, which takes seconds and prints hints, when it asks for
        # the model and not when it is handed the unit. Never read from a file.
        saved = pickle.dumps(self.model)
        return {**self.__dict__, "_model": None, "_saved": saved}

    def forward(self, features: Tensor) -> Tensor:
        images = features.permute(0, 2, 3, 1) if features.dim() == 4 else features
        outputs = self.model(images.detach().contiguous().numpy(), training=False).numpy()
        result = torch.from_numpy(outputs)
        return result.permute(0, 3, 1, 2).contiguous() if result.dim() == 4 else result

    def content(self) -> str:
        """Names architecture, weights and what the model answers to inputs that never change.

        Names of layers do not count: Keras numbers them by what the process has made before.
        """
        digest = hashlib.sha256(_without_names(self.model.to_json()).encode())
        for weight in self.model.get_weights():
            digest.update(weight.tobytes())
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(4, *self.model.input_shape[1:], generator=generator)
        digest.update(self.model(inputs.numpy(), training=False).numpy().tobytes())
        return digest.hexdigest()


def _without_names(architecture: str) -> str:
    """A model's JSON with the names of layers replaced by the order in which they appear."""
    names: dict[str, str] = {}

    def collect(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(name := part.get("name"), str):
                names.setdefault(name, f"#{len(names)}")
            for inner in part.values():
                collect(inner)
        elif isinstance(part, list):
            for inner in part:
                collect(inner)

    collect(json.loads(architecture))
    return re.sub(r'"([^"\\]*)"', lambda m: f'"{names.get(m[1], m[1])}"', architecture)


def keras_models(module: nn.Module) -> list[Any]:
    """The Keras models that a unit is made of, in order; empty for a unit of PyTorch."""
    if isinstance(module, KerasUnit):
        return [module.model]
    if isinstance(module, nn.Sequential):
        return [model for part in module for model in keras_models(part)]
    return []


def parameter_count(module: nn.Module) -> int:
    """Parameters of a unit, whoever they belong to."""
    own = sum(parameter.numel() for parameter in module.parameters())
    return own + sum(int(model.count_params()) for model in keras_models(module))
