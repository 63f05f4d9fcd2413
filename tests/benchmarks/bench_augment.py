"""Images per second: our augmentation against Keras' legacy ImageDataGenerator.

    python tests/benchmarks/bench_augment.py

Both do the same to the same batches of 64 images of 32x32x3, float32: random shifts of up to
12.5 % both ways and horizontal flips; at least 20 times is wanted there. "Whole batch" also
gathers uint8 rows and standardises them, on both sides by our code. One process, one thread,
alternating rounds; a figure is the median of its rounds, in seconds of processor time, so that
other programs on the machine matter little.
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

from course_lib.backend import keras
from course_lib.datasets import augment, cifar10

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Keras calls SciPy by an old name

BATCH = 64
ROUNDS = 20
PROTOCOL = {"shift": 0.125, "size": 32, "flip": True}
TARGET = 20


def legacy_generator(fill):
    return keras.src.legacy.preprocessing.image.ImageDataGenerator(
        width_shift_range=0.125,
        height_shift_range=0.125,
        horizontal_flip=True,
        fill_mode=fill,
        cval=0.0,
    )


def cases(images, standard):
    """(name, legacy, ours): functions of a step that make one batch each."""
    for fill in augment.FILLS:
        flow = legacy_generator(fill).flow(standard, batch_size=BATCH, shuffle=False)

        def legacy(step, flow=flow):
            return next(flow)

        def ours(step, fill=fill):
            drawn = augment.draw_shift_flip(BATCH, **PROTOCOL, seed=0, epoch=0, step=step)
            return augment.shift_flip(standard, drawn, fill=fill)

        yield f"shift and flip, fill {fill}", legacy, ours

    generator = legacy_generator("constant")
    order = augment.order(len(images), seed=0, epoch=0)

    def batch(step):
        start = step * BATCH % (len(images) - BATCH)
        rows = images[order[start : start + BATCH]]
        return augment.standardise(rows, cifar10.MEAN, cifar10.DEVIATION)

    def legacy_batch(step):
        return np.stack([generator.random_transform(image) for image in batch(step)])

    def our_batch(step):
        drawn = augment.draw_shift_flip(BATCH, **PROTOCOL, seed=0, epoch=0, step=step)
        return augment.shift_flip(batch(step), drawn, fill="constant")

    yield "whole batch, fill constant", legacy_batch, our_batch


def seconds(function, first, repeats):
    begin = time.process_time()
    for step in range(first, first + repeats):
        function(step)
    return (time.process_time() - begin) / repeats


def main():
    images = np.random.default_rng(0).integers(0, 256, (12_800, 32, 32, 3), dtype=np.uint8)
    standard = augment.standardise(images[:BATCH], cifar10.MEAN, cifar10.DEVIATION)
    print(f"NumPy {np.__version__}, Keras {keras.__version__}, batches of {BATCH}")
    print(f"{'images/s':32}{'legacy':>10}{'ours':>10}{'ratio':>8}{'ours, ms a batch':>20}")
    for name, legacy, ours in cases(images, standard):
        times = [
            (seconds(legacy, number, 3), seconds(ours, number * 30, 30))
            for number in range(ROUNDS + 1)
        ][1:]  # the first round warms up
        slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
        short = name.startswith("shift") and slow / fast < TARGET
        verdict = f"  below {TARGET}" if short else ""
        print(
            f"{name:32}{BATCH / slow:10,.0f}{BATCH / fast:10,.0f}{slow / fast:8.1f}"
            f"{1000 * fast:20.2f}{verdict}"
        )


if __name__ == "__main__":
    main()
