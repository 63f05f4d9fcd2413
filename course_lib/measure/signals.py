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
    found = {name: keras.ops.convert_to_numpy(passed[name]) for name in names}
    return [_signal(name, x.astype(np.float64)) for name, x in found.items()]


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
    labels: (count,) integers. The loss is the cross-entropy, without weight decay.
    """
    found = _of_kernels(model, images, labels)
    lengths = {n: np.linalg.norm(np.asarray(model.get_layer(n).kernel)) for n in found}
    return {n: float(np.linalg.norm(gradient) / lengths[n]) for n, gradient in found.items()}


def agreement(model, images, labels) -> dict[str, float]:
    """For each convolution: the cosine of the angle between its kernel's gradients on two halves of
    the images, every second one. 1: both ask for the same change; 0: neither knows of the other.

    images, labels: as for `gradients`, an even number of them.
    """
    one, other = (_of_kernels(model, images[k::2], labels[k::2]) for k in range(2))
    return {
        name: float(np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b)))
        for (name, a), b in zip(one.items(), other.values(), strict=True)
    }


def _of_kernels(model, images, labels) -> dict[str, np.ndarray]:
    """The gradient of the cross-entropy for the kernel of each convolution."""
    kernels = {x.name: x.kernel for x in model.layers if isinstance(x, keras.layers.Conv2D)}

    def loss(probabilities):
        each = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        return keras.ops.mean(each)

    derive = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    with _unchanged(model):
        found = derive(model, images, loss, list(kernels.values()))
    return dict(zip(kernels, map(keras.ops.convert_to_numpy, found), strict=True))


# The gradients of loss(model(images)) for some of the model's variables: Keras leaves it to each
# of its backends.


def _tensorflow(model, images, loss, variables):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(model(images, training=True))
    return tape.gradient(value, [v.value for v in variables])


def _jax(model, images, loss, variables):
    import jax

    def of(values):
        fixed = [v.value for v in model.non_trainable_variables]
        return loss(model.stateless_call(values, fixed, images, training=True)[0])

    found = jax.grad(of)([v.value for v in model.trainable_variables])
    place = {v.path: k for k, v in enumerate(model.trainable_variables)}
    return [found[place[v.path]] for v in variables]


def _torch(model, images, loss, variables):
    import torch

    return torch.autograd.grad(loss(model(images, training=True)), [v.value for v in variables])
