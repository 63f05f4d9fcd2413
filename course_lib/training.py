"""Train an experiment: `run(experiment)` live, `run(..., folder=...)` resumable and recorded.

A batch is a function of (seed, epoch, step), and a checkpoint holds all that training changes.
So a run that was interrupted, however roughly, ends with the weights of one that was not.
"""

import contextlib
import math
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from course_lib import checkpoints, datasets, experiments, records, settings
from course_lib.backend import keras, seed_everything, versions
from course_lib.datasets import augment
from course_lib.progress import Progress
from course_lib.settings import CourseError


@dataclass
class Run:
    """What `run` returns. history: a list per curve, a number per epoch; record: None until all
    epochs are done, and for a network that is not the experiment's own."""

    experiment: experiments.Experiment
    model: keras.Model
    data: datasets.Dataset
    history: dict[str, list[float]]
    record: dict | None
    finished: bool

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch, in percent."""
        return 100 * self.history["test_accuracy"][-1]


def steps_per_epoch(images: int, batch: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return -(-images // batch)


def batches(data, experiment, seed: int, start: int = 0):
    """Endless (images, labels) from epoch `start` on: standardised, augmented, float32.

    Shapes (batch, height, width, 3) and (batch,); every epoch shows each image once.
    """
    total, size = len(data.x_train), data.x_train.shape[1]
    options = dict(experiment.augmentation)
    fill = options.pop("fill", None)
    for epoch in count(start):
        order = augment.order(total, seed, epoch)
        for step in range(steps_per_epoch(total, experiment.batch)):
            chosen = order[step * experiment.batch : (step + 1) * experiment.batch]
            x = augment.standardise(data.x_train[chosen], experiment.mean, experiment.deviation)
            if options:
                draw = augment.draw_shift_flip(
                    len(chosen), size=size, seed=seed, epoch=epoch, step=step, **options
                )
                x = augment.shift_flip(x, draw, fill=fill)
            yield x, data.y_train[chosen]


def compiled(experiment, **changes):
    """The experiment's network, compiled with its optimizer; `changes` go to the builder."""
    model = experiment.build(**changes)
    options = dict(experiment.optimizer)
    optimizer = getattr(keras.optimizers, options.pop("name"))
    model.compile(
        optimizer(experiment.schedule(0), **options),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class _Keep(keras.callbacks.Callback):
    """After each epoch: history, seconds, checkpoint. Stops when the time is up."""

    def __init__(self, state: dict, folder: Path | None, deadline: float | None):
        super().__init__()
        self.state, self.folder, self.deadline = state, folder, deadline

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # Mid-epoch work is lost when the time is up, so this is the exception: an epoch that
        # took longer than those before it.
        if self.deadline and time.monotonic() > self.deadline:
            raise TimeoutError

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.monotonic() - self.start
        if not math.isfinite(logs["loss"] + logs["val_loss"]):
            raise CourseError(f"the loss is no longer a finite number in epoch {epoch + 1}")
        history = self.state["history"]
        for curve in records.CURVES:
            key = "val_" + curve.removeprefix("test_") if curve.startswith("test_") else curve
            history[curve].append(float(logs[key]))
        self.state["seconds_per_epoch"].append(round(seconds, 2))
        self.state["segments"][-1][1] = epoch + 1
        if self.folder:
            checkpoints.save(self.model, self.folder, self.state)
        if self.deadline and time.monotonic() + seconds > self.deadline:
            self.model.stop_training = True


def run(
    experiment,
    *,
    profile=None,
    seed=None,
    images=None,
    test_images=None,
    epochs=None,
    data=None,
    folder=None,
    minutes=None,
    **changes,
) -> Run:
    """Train `experiment` (or an id, or `dataclasses.replace(...)` of one) and return a Run.

    profile, seed: default to COURSE_PROFILE and COURSE_SEED.
    images, test_images, epochs: less than the profile's, for a live cell that is in a hurry.
    data: a Dataset instead of the one that experiment and profile name.
    folder: of local runs. Checkpoints go below it, an interrupted run resumes from them, and the
        record is written there at the end.
    minutes: stop in time, with a checkpoint.
    changes: go to the builder, `run(experiment, block=my_block)`; such a run has no record.
    """
    if isinstance(experiment, str):
        experiment = experiments.get(experiment)
    profile = settings.profile(profile)
    seed = settings.seed() if seed is None else settings.seed_from(seed, "seed")
    live = bool(changes or data or images or test_images or epochs)
    live = live or experiment != experiments.get(experiment.id)
    if live and folder:
        raise CourseError("a run with changes of its own cannot be recorded: leave out `folder`")
    # The budget of the `ci` profile is smaller than any live cell asks for.
    budget = {"images": images, "test_images": test_images, "epochs": epochs}
    budget = {} if profile.name == "ci" else budget
    config = records.configuration(experiment, profile, **budget)
    deadline = time.monotonic() + 60 * minutes if minutes else None

    data = data or datasets.load(config["data"])
    data = data.subset(config["images"], config["test_images"])
    seed_everything(seed)
    model = compiled(experiment, **changes)
    checkpoint = None
    state = {
        # Another backend's checkpoint is not continued: it draws and rounds otherwise.
        "config_hash": f"{records.digest(config)} {keras.backend.backend()}",
        "history": {curve: [] for curve in records.CURVES},
        "seconds_per_epoch": [],
        "segments": [],
    }
    if folder:
        checkpoint = settings.writable(folder) / experiment.id / f"{profile.name}-seed{seed}"
        model.optimizer.build(model.trainable_variables)
        state = checkpoints.load(model, checkpoint, state["config_hash"]) or state
    done = len(state["history"]["loss"])
    if done < config["epochs"]:
        state["segments"].append([done + 1, done])
        keep = _Keep(state, checkpoint, deadline)
        _fit(experiment, model, data, seed, done, config["epochs"], keep)
    finished = len(state["history"]["loss"]) == config["epochs"]

    record = None
    if finished and not live:
        record = _record(experiment, profile, seed, config, data, state)
        if folder:
            records.write(record, folder)
    return Run(experiment, model, data, state["history"], record, finished)


def _fit(experiment, model, data, seed, done, epochs, keep):
    steps = steps_per_epoch(len(data.x_train), experiment.batch)
    x_test = augment.standardise(data.x_test, experiment.mean, experiment.deviation)
    progress = Progress(f"{experiment.id}, seed {seed}", steps, epochs, done)
    # Whatever ends it, the bar is closed; after a time-out the checkpoint has the last epoch.
    with contextlib.closing(progress), contextlib.suppress(TimeoutError):
        model.fit(
            batches(data, experiment, seed, done),
            shuffle=False,  # `batches` has shuffled
            steps_per_epoch=steps,
            epochs=epochs,
            initial_epoch=done,
            validation_data=(x_test, data.y_test),
            validation_batch_size=250,
            verbose=0,
            callbacks=[
                keras.callbacks.LearningRateScheduler(lambda epoch, _: experiment.schedule(epoch)),
                progress,
                keep,
            ],
        )


def _record(experiment, profile, seed, config, data, state) -> dict:
    return {
        "schema": records.SCHEMA,
        "experiment": experiment.id,
        "profile": profile.name,
        "seed": seed,
        "config": config,
        "config_hash": records.digest(config),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint(),
            "images": len(data.x_train),
            "test_images": len(data.x_test),
        },
        "commit": _commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "backend": keras.backend.backend(),
        "hardware": hardware(),
        "seconds_per_epoch": state["seconds_per_epoch"],
        "segments": state["segments"],
        "history": state["history"],
        **records.outcome(state["history"]),
    }


def _commit() -> str:
    """The commit of the course's own code, with `-dirty` if the code differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.check_output(
            command, cwd=settings.ROOT, text=True, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def hardware() -> dict:
    """Processor, cores and accelerators."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    devices = [d for d in keras.distribution.list_devices() if not d.startswith("cpu")]
    return {"processor": processor, "cores": os.cpu_count(), "accelerators": devices}
