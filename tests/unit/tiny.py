"""Experiments so small that a whole run takes a second, and what interrupts them.

    python -m tests.unit.tiny EVENT TIMES WORDS ...

is `python -m course_lib WORDS ...` for them, killed with SIGKILL when EVENT (a step of training,
or a call of os.fsync or os.replace) has come TIMES times; `never 0` lets it live.
"""

import itertools
import os
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from course_lib import __main__ as cli
from course_lib import datasets, experiments, settings
from course_lib.experiments import runs
from course_lib.schedules import Steps

EPOCHS, STEPS = 6, 3  # three steps an epoch, the last with fewer images
IMAGES, TEST_IMAGES = 40, 20


def run(experiment, profile=None, seed=None, **options):
    """`experiment.run(...)`, of an id too."""
    known = experiments.get(experiment) if isinstance(experiment, str) else experiment
    return known.run(profile, seed, **options)


def file(id, profile, seed, folder=None, restarts=(), precision=None):
    """Where the record of that run stands."""
    return runs.named(id, profile, seed, restarts=restarts, precision=precision).file(folder)


BASE = replace(
    experiments.get("squeezenet/bn"),
    id="tiny/momentum",
    builder="tiny.network",
    arguments={},
    mean=(128.0, 128.0, 128.0),
    deviation=(64.0, 64.0, 64.0),
    schedule=Steps(((0, 0.05), (4, 0.01))),
    batch=16,
    epochs=EPOCHS,
)
AFFINE = {"rotation": 40, "shift": 0.2, "zoom": 0.2, "shear": 20, "flip": True, "fill": "nearest"}
EXPERIMENTS = {
    "tiny/momentum": BASE,
    "tiny/dropout": replace(BASE, arguments={"dropout": 0.5}, augmentation=AFFINE),
    "tiny/adam": replace(
        BASE,
        arguments={"dropout": 0.5},
        augmentation=AFFINE,
        optimizer={"name": "Adam"},
        mean="pixel",
    ),
    # From the fourth epoch on the rate is far too high: the loss rises, and the run ends early.
    "tiny/early": replace(
        BASE,
        epochs=9,
        schedule=Steps(((0, 0.01), (3, 2.0))),
        validation=10,
        callbacks=({"name": "EarlyStopping", "monitor": "loss", "patience": 3},),
        choose="lowest validation_loss",
    ),
    # No epoch is better by 100 than the first, so that the rate is halved five epochs after it.
    "tiny/plateau": replace(
        BASE,
        schedule=Steps(((0, 0.05), (3, 0.01)), late=1),
        callbacks=(
            {"name": "ReduceLROnPlateau", "factor": 0.5, "patience": 5, "min_delta": 100.0},
        ),
        whole_batches=True,
    ),
    "tiny/kept": replace(BASE, keep_every=2),
    "tiny/decay": replace(BASE, arguments={"l2": 0.01}, epochs=2, validation=10),
}
EXPERIMENTS = {id: replace(experiment, id=id) for id, experiment in EXPERIMENTS.items()}


def network(dropout=0.0, size=8, l2=0.0):
    from course_lib.backend import keras, layers

    x = inputs = keras.Input((size, size, 3))
    decay = keras.regularizers.L2(l2) if l2 else None
    x = layers.Conv2D(4, 3, strides=2, use_bias=False, kernel_regularizer=decay, name="conv")(x)
    x = layers.Flatten()(layers.ReLU()(layers.BatchNormalization(name="bn")(x)))
    x = layers.Dropout(dropout)(x) if dropout else x
    outputs = layers.Dense(10, activation="softmax", dtype="float32", name="dense")(x)
    return keras.Model(inputs, outputs, name="tiny")


def data() -> datasets.Dataset:
    """A hundred training and fifty test images of noise, with a brightness for every class."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 10
    x = rng.integers(0, 160, (150, 8, 8, 3)) + 9 * y[:, None, None, None]
    classes = tuple(f"class {k}" for k in range(10))
    return datasets.Dataset("synthetic", classes, *(x[:100].astype("uint8"), y[:100]),
                            *(x[100:].astype("uint8"), y[100:]))  # fmt: skip


def load(name: str) -> datasets.Dataset:
    """Those images under the name of any data set, with their content."""
    images = data()
    return replace(images, name=name, content=images.fingerprint())


def install(patch: pytest.MonkeyPatch, load=load) -> None:
    """Make the experiments known, with their network and their data under the profile ci."""
    for id, experiment in EXPERIMENTS.items():
        patch.setitem(experiments._EXPERIMENTS, id, experiment)
    patch.setitem(sys.modules, "course_lib.models.tiny", SimpleNamespace(network=network))
    budget = {"images": IMAGES, "test_images": TEST_IMAGES, "epochs": None}
    patch.setitem(settings.PROFILES, "ci", replace(settings.PROFILES["ci"], **budget))
    patch.setattr(datasets, "load", load)


def doom(patch: pytest.MonkeyPatch, event: str, times: int) -> None:
    from course_lib.engine import training

    count = itertools.count(1)

    def before(function):
        def called(*args, **options):
            if next(count) == times:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return called

    if event == "step":
        shown = training.Progress.on_train_batch_end
        patch.setattr(training.Progress, "on_train_batch_end", before(shown))
    else:
        patch.setattr(os, event, before(getattr(os, event)))


if __name__ == "__main__":
    event, times, *words = sys.argv[1:]
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        if event != "never":
            doom(patch, event, int(times))
        sys.argv[1:] = words
        sys.exit(cli.main())
