"""What a network is fed: which images, less which mean, in which order, moved how.

A batch is a function of (seed, epoch, step) and of nothing else, so that an interrupted run goes
on with the batches it would have seen. `batches` makes them one by one, for `fit`; `chunks` and
`Scanned` leave the images on an accelerator and run many steps in one compiled call.
"""

from dataclasses import replace
from itertools import count

import numpy as np

from course_lib.backend import keras
from course_lib.datasets import augment
from course_lib.settings import CourseError

# Images of an evaluation's batch: it decides the time and the memory, and not the result.
EVALUATED_AT_ONCE = 250
# Steps of one compiled call at most, so that progress is seen and time limits are kept.
CHUNK = 200


def take(data, experiment, images=None, test_images=None):
    """The part of a Dataset that a run sees: its classes, its held-out images, its budget."""
    if experiment.first_classes:
        data = data.of_classes(experiment.first_classes)
    if experiment.validation and data.x_val is None:
        # Of drawn images, which are few, a tenth: the 5,000 of S3 are a tenth of CIFAR-10.
        data = hold_out(data, min(experiment.validation, len(data.x_train) // 10))
    return data.subset(images, test_images)


def hold_out(data, last: int):
    """The last images of the training set become the validation set, unshuffled, as in S3."""
    if not 0 < last < len(data.x_train):
        raise CourseError(f"cannot hold out {last} of {len(data.x_train)} training images")
    first, rest = np.split(np.arange(len(data.x_train)), [len(data.x_train) - last])
    return replace(
        data,
        x_train=data.x_train[first],
        y_train=data.y_train[first],
        x_val=data.x_train[rest],
        y_val=data.y_train[rest],
    )


def mean_image(images) -> np.ndarray:
    """The mean over all images, (height, width, channels) float64, a thousand at a time."""
    total = np.zeros(images.shape[1:])
    for part in np.array_split(np.arange(len(images)), -(-len(images) // 1000)):
        total += images[part].sum(axis=0, dtype=np.float64)
    return total / len(images)


def standards(experiment, images) -> tuple[np.ndarray, np.ndarray]:
    """(mean, deviation) for `augment.standardise`; a mean by name is that of `images`.

    The mean is (channels,), or (height, width, channels) for "pixel".
    """
    mean = experiment.mean
    if mean == "pixel":
        mean = mean_image(images)
    elif mean == "channel":
        mean = mean_image(images).mean(axis=(0, 1))
    elif isinstance(mean, str):
        raise CourseError(f'{experiment.id}: mean is "channel", "pixel" or numbers, not {mean!r}')
    return np.asarray(mean, np.float32), np.asarray(experiment.deviation, np.float32)


def steps_per_epoch(images: int, experiment) -> int:
    """Batches of an epoch; the last one may be smaller, unless only whole ones are wanted."""
    whole, rest = divmod(images, experiment.batch)
    return max(1, whole + (rest > 0 and not experiment.whole_batches))


def _draw(experiment, count: int, size: int, seed: int, epoch: int, step: int):
    return augment.draw(
        experiment.augmentation, count, size=size, seed=seed, epoch=epoch, step=step
    )


def batches(data, experiment, seed: int, start: int = 0, standard=None):
    """Endless (images, labels) from epoch `start` on: standardised, augmented, float32.

    Shapes (batch, height, width, 3) and (batch,); every epoch shows each image at most once.
    standard: what `standards` returns for the training images, where that is known already.
    """
    total, size = len(data.x_train), data.x_train.shape[1]
    mean, deviation = standard or standards(experiment, data.x_train)
    for epoch in count(start):
        order = augment.order(total, seed, epoch)
        for step in range(steps_per_epoch(total, experiment)):
            chosen = order[step * experiment.batch : (step + 1) * experiment.batch]
            x = augment.standardise(data.x_train[chosen], mean, deviation)
            if experiment.augmentation:
                draw = _draw(experiment, len(chosen), size, seed, epoch, step)
                x = augment.move(x, draw, fill=experiment.augmentation["fill"])
            yield x, data.y_train[chosen]


class Evaluated(keras.utils.PyDataset):
    """Images and labels for `evaluate`, standardised batch by batch, in their order."""

    def __init__(self, images, labels, mean, deviation, at_once=EVALUATED_AT_ONCE):
        super().__init__()
        self.images, self.labels, self.at_once = images, labels, at_once
        self.mean, self.deviation = mean, deviation

    def __len__(self):
        return -(-len(self.images) // self.at_once)

    def __getitem__(self, k):
        part = np.arange(k * self.at_once, min((k + 1) * self.at_once, len(self.images)))
        return augment.standardise(self.images[part], self.mean, self.deviation), self.labels[part]


# --- on an accelerator, with JAX ------------------------------------------------------------------


def chunk_of(steps: int) -> int:
    """The largest divisor of `steps` up to CHUNK: all calls of an epoch then have one shape."""
    return max(k for k in range(1, min(steps, CHUNK) + 1) if steps % k == 0)


def chunks_per_epoch(images: int, experiment) -> int:
    """Compiled calls of an epoch: those of whole batches, and one for a smaller last batch."""
    whole = images // experiment.batch
    calls = whole // chunk_of(whole) if whole else 0
    return calls + steps_per_epoch(images, experiment) - whole


def chunks(data, experiment, seed: int, start: int = 0, standard=None):
    """What `Scanned` trains on, endless from epoch `start` on: the same batches as `batches`.

    A chunk is (images, labels, chosen, draw): all images and labels on the device, then for each
    of k steps the indices (k, batch) and the augmentation's parameters, each (k, batch).
    `standard` is not needed here: `scanned` has it.
    """
    import jax

    total, size, batch = len(data.x_train), data.x_train.shape[1], experiment.batch
    images = jax.device_put(np.asarray(data.x_train[np.arange(total)]))
    labels = jax.device_put(data.y_train)
    whole = total // batch
    for epoch in count(start):
        order = augment.order(total, seed, epoch)
        step, steps = 0, steps_per_epoch(total, experiment)
        while step < steps:
            k, wide = (chunk_of(whole), batch) if step < whole else (1, total - whole * batch)
            chosen = order[step * batch :][: k * wide].reshape(k, wide)
            draws = [_draw(experiment, wide, size, seed, epoch, step + j) for j in range(k)]
            draw = type(draws[0])(*(np.stack(values) for values in zip(*draws, strict=True)))
            yield ((images, labels, chosen.astype(np.int32), draw),)
            step += k


def scanned(model, experiment, mean, deviation):
    """`model` for the chunks of `chunks`: one compiled call goes through all steps of a chunk.

    The layers are shared: training the one trains the other. JAX only.
    """
    import jax
    import jax.numpy as jnp

    class Scanned(keras.Model):
        scanned = True  # `training.fit` asks for it

        def train_step(self, state, data):
            images, labels, *steps = data[0]

            def one(state, step):
                chosen, draw = step
                x = augment.standardise(images[chosen], mean, deviation, xp=jnp)
                if experiment.augmentation:
                    x = augment.move(x, draw, fill=experiment.augmentation["fill"], xp=jnp)
                logs, state = super(Scanned, self).train_step(state, (x, labels[chosen]))
                return state, logs

            state, logs = jax.lax.scan(one, state, tuple(steps))
            return jax.tree.map(lambda values: values[-1], logs), state

    return Scanned(model.inputs, model.outputs, name=model.name)
