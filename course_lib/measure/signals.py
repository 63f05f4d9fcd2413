"""What reaches each layer of a network, forward as a signal and backward as a gradient.

Measured in training mode, so that batch normalisation uses the batch's own statistics as it does
in the first training step (Glorot and Bengio 2010, section 4; Ioffe and Szegedy 2015).
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from course_lib.backend import keras


@dataclass(frozen=True)
class Signal:
    """What one layer passes on.

    size: root mean square of its output.
    difference: standard deviation over the images, root mean square over the units: the part
        that tells one image from another.
    living: channels that are above zero for any image at any place.
    """

    layer: str
    size: float
    difference: float
    living: int


@contextmanager
def _unchanged(model):
    """In training mode BN counts on and dropout draws on: put all of it back afterwards."""
    before = [np.asarray(v).copy() for v in model.variables]
    try:
        yield
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)


def forward(model, images, names) -> list[Signal]:
    """The signal after each layer in `names`. images: (count, height, width, 3), standardised."""
    probe = keras.Model(model.input, {name: model.get_layer(name).output for name in names})
    with _unchanged(model):
        passed = probe(images, training=True)
    return [_signal(name, np.asarray(passed[name], dtype=np.float64)) for name in names]


def _signal(name: str, x: np.ndarray) -> Signal:
    living = int((x > 0).reshape(-1, x.shape[-1]).any(axis=0).sum())
    return Signal(name, float(np.sqrt(np.mean(x**2))), float(np.sqrt(x.var(0).mean())), living)


class Watch(keras.callbacks.Callback):
    """The signal through a network while it trains: `run(experiment, callbacks=[watch])`.

    images, names: as for `forward`. every: steps between two measurements; the first is made before
    training. It changes nothing of the training. Afterwards `steps` says when it was measured, and
    `of("difference")` what, an array of shape (measurements, layers).
    """

    def __init__(self, images, names, every: int = 20):
        super().__init__()
        self.images, self.names, self.every = images, list(names), every
        self.steps, self.found, self._done = [], [], 0

    def on_train_begin(self, logs=None):
        self._measure()

    def on_train_batch_end(self, batch, logs=None):
        self._done += 1
        if self._done % self.every == 0:
            self._measure()

    def _measure(self):
        if hasattr(self.model, "jax_state_sync"):  # on JAX the weights are elsewhere during `fit`
            self.model.jax_state_sync()
        self.steps.append(self._done)
        self.found.append(forward(self.model, self.images, self.names))

    def of(self, what: str) -> np.ndarray:
        """`what`: a field of Signal. Returns (measurements, layers)."""
        return np.array([[getattr(signal, what) for signal in row] for row in self.found])


def gradients(model, images, labels) -> dict[str, float]:
    """For each convolution: length of its kernel's gradient over the length of the kernel.

    The ratio says how far one step at learning rate 1 would move the kernel, as a share of it.
    labels: (count,) integers. The loss is the cross-entropy, without weight decay. Needs the
    TensorFlow backend.
    """
    import tensorflow as tf

    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    kernels = [layer.kernel.value for layer in convolutions]
    with _unchanged(model), tf.GradientTape() as tape:
        probabilities = model(images, training=True)
        loss = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        loss = tf.reduce_mean(loss)
    found = tape.gradient(loss, kernels)
    return {
        layer.name: float(tf.norm(g) / tf.norm(k))
        for layer, g, k in zip(convolutions, found, kernels, strict=True)
    }
