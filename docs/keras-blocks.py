"""Blocks of Keras for a progressive bundle: what docs/keras.md walks through.

python -m pipeline.build docs/keras-digits.toml
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from pipeline.ingest.keras import KerasBlocks


def blocks(images: np.ndarray, labels: np.ndarray) -> KerasBlocks:
    """Trains a teacher, a student like it but narrow, and the encoders between them."""
    keras.utils.set_random_seed(0)
    classes = int(labels.max()) + 1
    teacher = _network(images.shape[1:], (24, 48), classes)
    student = _network(images.shape[1:], (3, 6), classes)
    _fit(_chain(teacher), images, labels, epochs=12)
    _fit(_chain(student), images, labels, epochs=30)
    for part in (*teacher, *student):
        part.trainable = False
    encoders = []
    for index in range(len(teacher) - 1):
        encoder = _encoder(teacher[: index + 1], student[: index + 1], images)
        _fit(_chain([*teacher[: index + 1], encoder, *student[index + 1 :]]), images, labels, 30)
        encoders.append(encoder)
    return KerasBlocks(teacher, student, encoders)


def _network(image: tuple[int, ...], widths: tuple[int, ...], classes: int) -> list[keras.Model]:
    """A block for each width, and one with the classifier."""
    found: list[keras.Model] = []
    shape = image
    for index, width in enumerate(widths):
        source = keras.Input(shape)
        features = layers.Conv2D(width, 3, strides=2 if index else 1, padding="same")(source)
        found.append(keras.Model(source, layers.ReLU()(layers.BatchNormalization()(features))))
        shape = found[-1].output_shape[1:]
    source = keras.Input(shape)
    features = layers.Conv2D(widths[-1], 3, padding="same", activation="relu")(source)
    logits = layers.Dense(classes)(layers.GlobalAveragePooling2D()(features))
    return [*found, keras.Model(source, logits)]


def _chain(parts: list[keras.Model]) -> keras.Model:
    source = keras.Input(parts[0].input_shape[1:])
    features = source
    for part in parts:
        features = part(features)
    return keras.Model(source, features)


def _fit(model: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    model.compile(
        keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(images, labels, batch_size=32, epochs=epochs, verbose=0)


def _encoder(
    teacher: list[keras.Model], student: list[keras.Model], images: np.ndarray
) -> keras.Model:
    """A 1x1 convolution from the teacher's features to what the student has at the same place."""
    features = _chain(teacher).predict(images, verbose=0)
    wanted = _chain(student).predict(images, verbose=0)
    source = keras.Input(features.shape[1:])
    encoder = keras.Model(source, layers.Conv2D(wanted.shape[-1], 1, activation="relu")(source))
    encoder.compile(keras.optimizers.Adam(1e-2), "mse")
    encoder.fit(features, wanted, batch_size=32, epochs=30, verbose=0)
    return encoder
