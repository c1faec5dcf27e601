"""Keras models to .tflite: TensorFlow's own converter, one program of fixed batch 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def keras_to_tflite(models: Sequence[Any]) -> bytes:
    """One program that runs some models one after the other.

    Args:
        models: `keras.Model`, each taking the output of the one before. Features are
            ``[1, height, width, channels]`` or ``[1, classes]``.
    """
    import keras
    import tensorflow as tf

    source = keras.Input(batch_shape=(1, *models[0].input_shape[1:]))
    features = source
    for model in models:
        features = model(features, training=False)
    fixed = keras.Model(source, features)
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    return bytes(converter.convert())
