"""Images per second: our augmentation against Keras' legacy ImageDataGenerator.

    python tests/benchmarks/bench_augment.py

Both do the same to the same batches of float32 images: shifts and flips, where at least 20 times
is wanted, and with rotation, zoom and shear, where it is 5. "Whole batch" also gathers uint8 rows
and standardises them, on both sides by our code. One process, one thread, alternating rounds; a
figure is the median of its rounds, in seconds of processor time, so that other programs on the
machine matter little.

The last column is there for information: Keras' own preprocessing layers, one after another and
without shear, below tf.data, which is kept from working ahead; processor time of all its threads.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tensorflow as tf

from course_lib import experiments
from course_lib.backend import keras
from course_lib.datasets import augment

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Keras calls SciPy by an old name

ROUNDS = 20
PLAIN = experiments.get("squeezenet/plain")
SQUEEZENET = {"shift": 0.125, "flip": True}
DENSENET = {"rotation": 40, "shift": 0.2, "zoom": 0.2, "shear": 0.2, "flip": True}
DEEPERGOOGLENET = {"rotation": 18, "shift": 0.2, "zoom": 0.15, "shear": 0.15, "flip": True}
CASES = (  # name, options, size, batch, fill, how many times as fast is wanted
    ("shift and flip, constant", SQUEEZENET, 32, 64, "constant", 20),
    ("shift and flip, nearest", SQUEEZENET, 32, 64, "nearest", 20),
    ("all, 32x32, batch 128, nearest", DENSENET, 32, 128, "nearest", 5),
    ("all, 64x64, batch 64, nearest", DEEPERGOOGLENET, 64, 64, "nearest", 5),
)


def legacy_generator(options, fill):
    return keras.src.legacy.preprocessing.image.ImageDataGenerator(
        width_shift_range=options["shift"],
        height_shift_range=options["shift"],
        rotation_range=options.get("rotation", 0),
        zoom_range=options.get("zoom", 0),
        shear_range=options.get("shear", 0),
        horizontal_flip=options["flip"],
        fill_mode=fill,
        cval=0.0,
    )


def batches_of_layers(options, fill, images):
    """Endless batches of `images`, moved by the layers that come closest to `options`."""
    filling = {"fill_mode": fill, "fill_value": 0.0}
    chosen = [keras.layers.RandomTranslation(options["shift"], options["shift"], **filling)]
    if "rotation" in options:
        chosen += [
            keras.layers.RandomRotation(options["rotation"] / 360, **filling),
            keras.layers.RandomZoom(options["zoom"], options["zoom"], **filling),
        ]
    chosen.append(keras.layers.RandomFlip("horizontal"))

    def move(x):
        for layer in chosen:
            x = layer(x, training=True)
        return x

    at_once = tf.data.Options()
    at_once.autotune.enabled = False
    at_once.experimental_optimization.inject_prefetch = False
    return iter(tf.data.Dataset.from_tensors(images).repeat().map(move).with_options(at_once))


def compared(name, options, size, batch, fill, wanted):
    """(name, batch, wanted, legacy, ours, layers): functions of a step that make a batch each."""
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    images = augment.standardise(images, PLAIN.mean, PLAIN.deviation)
    flow = legacy_generator(options, fill).flow(images, batch_size=batch, shuffle=False)
    layers = batches_of_layers(options, fill, images)

    def ours(step):
        drawn = augment.draw(options, batch, size=size, seed=0, epoch=0, step=step)
        return augment.move(images, drawn, fill=fill)

    return name, batch, wanted, lambda _: next(flow), ours, lambda _: next(layers)


def whole_batch(batch=64):
    images = np.random.default_rng(0).integers(0, 256, (12_800, 32, 32, 3), dtype=np.uint8)
    generator = legacy_generator(SQUEEZENET, "constant")
    order = augment.order(len(images), seed=0, epoch=0)

    def standard(step):
        start = step * batch % (len(images) - batch)
        rows = images[order[start : start + batch]]
        return augment.standardise(rows, PLAIN.mean, PLAIN.deviation)

    def legacy(step):
        return np.stack([generator.random_transform(image) for image in standard(step)])

    def ours(step):
        drawn = augment.draw(SQUEEZENET, batch, size=32, seed=0, epoch=0, step=step)
        return augment.move(standard(step), drawn, fill="constant")

    return "whole batch, shift and flip", batch, 0, legacy, ours, None


def seconds(function, first, repeats):
    begin = time.process_time()
    for step in range(first, first + repeats):
        function(step)
    return (time.process_time() - begin) / repeats


def medians(*makers_repeats):
    """Seconds a batch of each (maker, repeats), in alternating rounds."""
    times = [
        [seconds(maker, number * repeats, repeats) for maker, repeats in makers_repeats]
        for number in range(ROUNDS + 1)
    ][1:]  # the first round warms up
    return [statistics.median(column) for column in zip(*times, strict=True)]


def main():
    print(f"NumPy {np.__version__}, Keras {keras.__version__}; images of 3 channels")
    print(
        f"{'images/s':32}{'legacy':>10}{'ours':>10}{'ratio':>8}{'ours, ms a batch':>18}"
        f"{'Keras layers':>14}"
    )
    for name, batch, wanted, legacy, ours, layers in [
        *(compared(*c) for c in CASES),
        whole_batch(),
    ]:
        slow, fast = medians((legacy, 3), (ours, 30))
        # On its own: the threads of TensorFlow go on for a moment after their work.
        beside = f"{batch / medians((layers, 10))[0]:,.0f}" if layers else "-"
        verdict = f"  below {wanted}" if slow / fast < wanted else ""
        print(
            f"{name:32}{batch / slow:10,.0f}{batch / fast:10,.0f}{slow / fast:8.1f}"
            f"{1000 * fast:18.2f}{beside:>14}{verdict}"
        )


if __name__ == "__main__":
    main()
