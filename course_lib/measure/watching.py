"""Keras callbacks that look on while a network trains: what answers cost, where weights go."""

import numpy as np

from course_lib.backend import keras


class Costs(keras.callbacks.Callback):
    """What right and wrong answers cost: after the first epoch, every `every`-th and the last.

    images: (count, height, width, 3) as the network is fed them; labels: (count,). Then `steps`;
    `right` and `wrong`, the mean cross-entropy of the images that are answered so; and `sure`, the
    mean probability that goes with a wrong answer: a number a look, NaN where there is no such
    image.
    """

    def __init__(self, images, labels, every: int = 4):
        super().__init__()
        self.images, self.labels, self.every = images, labels, every
        self.steps, self.right, self.wrong, self.sure = [], [], [], []

    def on_epoch_end(self, epoch, logs=None):
        if epoch % self.every and epoch != self.params["epochs"] - 1:
            return
        p = self.model.predict(self.images, verbose=0, batch_size=250)
        cost = -np.log(p[np.arange(len(p)), self.labels])
        right = p.argmax(axis=1) == self.labels
        self.steps.append(int(self.model.optimizer.iterations))
        self.right.append(_mean(cost[right]))
        self.wrong.append(_mean(cost[~right]))
        self.sure.append(_mean(p[~right].max(axis=1, initial=0)))


def _mean(values) -> float:
    return float(values.mean()) if len(values) else np.nan


class Trail(keras.callbacks.Callback):
    """All trainable weights after every `every`-th step: `steps`, and a row of `weights` for each.

    nudge: before the first step, one weight of the first convolution moves by its last digit.
    """

    def __init__(self, every: int = 5, nudge: bool = False):
        super().__init__()
        self.every, self.nudge, self.steps, self.weights = every, nudge, [], []

    def on_train_begin(self, logs=None):
        if self.nudge:
            kernel = next(w for w in self.model.trainable_weights if len(w.shape) == 4)
            values = np.asarray(kernel).copy()
            values.flat[0] = np.nextafter(values.flat[0], np.float32(np.inf))
            kernel.assign(values)

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations)
        if step % self.every == 0:
            self.steps.append(step)
            weights = self.model.trainable_weights
            self.weights.append(np.concatenate([np.asarray(w).ravel() for w in weights]))

    def distance(self, other: "Trail") -> np.ndarray:
        """How far these weights lie from those of `other`, over the length of those, by step."""
        there = np.array(other.weights)
        apart = np.linalg.norm(np.array(self.weights) - there, axis=1)
        return apart / np.linalg.norm(there, axis=1)
