"""Train an experiment: `run(experiment)` live, `run(..., folder=...)` resumable and recorded.

A batch is a function of (seed, epoch, step), and a checkpoint holds all that training changes.
So a run that was interrupted, however roughly, ends with the weights of one that was not.
"""

import contextlib
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from course_lib import checkpoints, datasets, experiments, feeding, records, settings
from course_lib.backend import SeedSteps, hardware, keras, seed_everything, versions
from course_lib.progress import Progress
from course_lib.settings import CourseError


@dataclass
class Run:
    """What `run` returns. history: a list per curve; record: None for a part and a live run."""

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


def compiled(experiment, *, wrap=None, **changes):
    """The experiment's network, compiled with its optimizer; `changes` go to the builder.

    wrap: a function of the network that returns the one to compile in its place.
    """
    model = experiment.build(**changes)
    model = wrap(model) if wrap else model
    model.compile(
        _named(keras.optimizers, learning_rate=experiment.schedule(0), **experiment.optimizer),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _named(module, name: str, **options):
    """The optimizer or callback that an experiment names."""
    return getattr(module, name)(**options)


class _Replay(keras.callbacks.Callback):
    """Shows the callbacks of a protocol the epochs before this segment: EarlyStopping and
    ReduceLROnPlateau forget them when training begins."""

    def __init__(self, callbacks, state: dict):
        super().__init__()
        self.callbacks, self.state = callbacks, state

    def on_train_begin(self, logs=None):
        history = self.state["history"]
        watched = "validation" if "validation_loss" in history else "test"
        names = {"loss": "loss", "accuracy": "accuracy"}
        names |= {f"val_{k}": f"{watched}_{k}" for k in tuple(names)}
        for epoch in range(len(history["loss"])):
            past = {k: history[name][epoch] for k, name in names.items()}
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, dict(past))


class _Keep(keras.callbacks.Callback):
    """After each epoch: history, seconds, checkpoint. Stops when the time is up.

    every: epochs between checkpoints that stay. tested: the test set, where `fit` watches another.
    """

    def __init__(self, state: dict, folder: Path | None, deadline: float | None, every: int):
        super().__init__()
        self.state, self.folder, self.deadline, self.every = state, folder, deadline, every
        self.tested = None

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # Mid-epoch work is lost: this is for an epoch that takes longer than those before it.
        if self.deadline and time.monotonic() > self.deadline:
            raise TimeoutError

    def on_epoch_end(self, epoch, logs=None):
        stopped = self.model.stop_training  # by a callback of the protocol
        watched = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        row = {k: v for k, v in logs.items() if not k.startswith("val_")}
        if self.tested:
            row |= {f"validation_{k}": v for k, v in watched.items()}
            watched = self.model.evaluate(self.tested, verbose=0, return_dict=True)
        row |= {f"test_{k}": v for k, v in watched.items()}
        seconds = time.monotonic() - self.start
        if not math.isfinite(row["loss"] + row["test_loss"]):
            raise CourseError(f"the loss is no longer a finite number in epoch {epoch + 1}")
        for curve, values in self.state["history"].items():
            values.append(float(row[curve]))
        self.state["seconds_per_epoch"].append(round(seconds, 2))
        self.state["segments"][-1][1] = epoch + 1
        self.state["stopped_early"] = stopped
        if self.folder:
            checkpoints.save(self.model, self.folder, self.state, self.every)
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
    restarts=(),
    precision="float32",
    on_device=None,
    train=True,
    callbacks=(),
    **changes,
) -> Run:
    """Train `experiment` (or an id, or `dataclasses.replace(...)` of one) and return a Run.

    profile, seed: default to COURSE_PROFILE and COURSE_SEED.
    images, test_images, epochs: less than the profile's, for a live cell that is in a hurry.
    data: a Dataset instead of the one that experiment and profile name.
    folder: of local runs. Checkpoints go below it, an interrupted run resumes from them, and the
        record is written there at the end.
    minutes: stop in time, with a checkpoint.
    restarts: ((epoch, learning rate), ...): go back to the checkpoint after that many epochs and
        train on at this rate. Such a run has checkpoints and a record of its own beside those of
        the run that it leaves.
    precision: a Keras dtype policy.
    on_device: images stay on the accelerator, many steps are one call; None: where JAX has one.
    train: False restores a finished run and raises a CourseError where there is none.
    callbacks: further Keras callbacks that only look on, `keras.callbacks.TensorBoard("logs")`.
    changes: go to the builder, `run(experiment, block=my_block)`; such a run has no record.
    """
    experiment = experiments.get(experiment) if isinstance(experiment, str) else experiment
    profile = settings.profile(profile)
    seed = settings.seed() if seed is None else settings.seed_from(seed, "seed")
    live = bool(changes or data or images or test_images or epochs)
    live = live or experiment != experiments.get(experiment.id)
    if live and folder:
        raise CourseError("a run with changes of its own cannot be recorded: leave out `folder`")
    if restarts and not folder:
        raise CourseError("a run starts again from a checkpoint: name its `folder`")
    place = experiment.id, profile.name, seed, folder
    file = records.path(*place, restarts, precision)
    # The budget of the `ci` profile is smaller than any live cell asks for.
    budget = {"images": images, "test_images": test_images, "epochs": epochs}
    budget = {} if profile.name == "ci" else budget
    config = records.configuration(experiment, profile, **budget)
    deadline = time.monotonic() + 60 * minutes if minutes else None
    if restarts and restarts[-1][0] >= config["epochs"]:
        raise CourseError(f"nothing follows epoch {restarts[-1][0]} of {config['epochs']}")

    data = data or datasets.load(config["data"])
    data = feeding.take(data, experiment, config["images"], config["test_images"])
    standards = feeding.standards(experiment, data.x_train)
    seed_everything(seed)
    if on_device is None:
        on_device = keras.backend.backend() == "jax" and bool(hardware()["accelerators"])
    wrap = (lambda m: feeding.scanned(m, experiment, *standards)) if on_device else None
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(precision)
        model = compiled(experiment, wrap=wrap, **changes)
    finally:
        keras.config.set_dtype_policy(before)
    more = records.VALIDATION if data.x_val is not None else ()
    state = {
        # Another backend's checkpoint is not continued: it draws and rounds otherwise.
        "config_hash": f"{records.digest(config)} {keras.backend.backend()} {precision}",
        "history": {curve: [] for curve in (*records.CURVES, *more)},
        "seconds_per_epoch": [],
        "segments": [],
    }
    checkpoint = None
    if folder:
        settings.writable(folder)
        checkpoint = file.with_suffix("")
        model.optimizer.build(model.trainable_variables)
        found = checkpoints.load(model, checkpoint, state["config_hash"])
        if restarts and not found:
            left = records.path(*place, restarts[:-1], precision).with_suffix("")
            found = checkpoints.restart(model, left, state["config_hash"], *restarts[-1])
        if not found and (checkpoint / checkpoints.NEWEST).exists():
            other = f"{checkpoint} is of another backend or another version of the experiment"
            raise CourseError(f"{other}: delete it, or choose another COURSE_RUNS_DIR")
        state |= found or {}

    def ended() -> bool:
        return state.get("stopped_early") or len(state["history"]["loss"]) == config["epochs"]

    todo = not ended()
    if todo and not train:
        raise CourseError(f"{checkpoint} holds no finished run: run the experiment first")
    if todo:
        keep = _Keep(state, checkpoint, deadline, experiment.keep_every)
        _fit(model, experiment, data, standards, seed, config["epochs"], keep, on_device, callbacks)
    record = None
    if ended() and not live:
        with contextlib.suppress(CourseError):  # it says when and where the run was made
            record = records.read(file) if folder and not todo else None
        if record is None:
            record = _record(experiment, profile, seed, config, data, state, precision)
            if folder:
                records.write(record, folder)
    return Run(experiment, model, data, state["history"], record, ended())


def _fit(model, experiment, data, standards, seed, epochs, keep, on_device, callbacks):
    done, total = len(keep.state["history"]["loss"]), len(data.x_train)
    keep.state["segments"].append([done + 1, done])
    feed, steps = feeding.batches, feeding.steps_per_epoch(total, experiment)
    watched, name = feeding.Evaluated(data.x_test, data.y_test, *standards), "test"
    if data.x_val is not None:
        keep.tested = watched
        watched, name = feeding.Evaluated(data.x_val, data.y_val, *standards), "validation"
    if on_device:
        feed, steps = feeding.chunks, feeding.chunks_per_epoch(total, experiment)
        model.evaluate(watched, steps=1, verbose=0)  # builds loss and metrics on plain batches
    protocol = [_named(keras.callbacks, **options) for options in experiment.callbacks]
    progress = Progress(f"{experiment.id}, seed {seed}", steps, epochs, done, name)
    # Whatever ends it, the bar is closed; after a time-out the checkpoint has the last epoch.
    with contextlib.closing(progress), contextlib.suppress(TimeoutError):
        model.fit(
            feed(data, experiment, seed, done, standards),
            shuffle=False,  # `feed` has shuffled
            steps_per_epoch=steps,
            epochs=epochs,
            initial_epoch=done,
            validation_data=watched,
            verbose=0,
            callbacks=[
                keras.callbacks.LearningRateScheduler(
                    lambda e, _: _rate(experiment, keep.state, e)
                ),
                SeedSteps(seed),
                *protocol,
                _Replay(protocol, keep.state),
                *callbacks,
                progress,
                keep,
            ],
        )


def _rate(experiment, state, epoch: int) -> float:
    """The learning rate of an epoch: the schedule's, until a restart by hand."""
    by_hand = [rate for start, rate in state.get("restarts", []) if epoch >= start]
    return by_hand[-1] if by_hand else experiment.schedule(epoch)


def _record(experiment, profile, seed, config, data, state, precision) -> dict:
    optional = {
        "precision": precision if precision != "float32" else None,
        "stopped_early": state.get("stopped_early") or None,
        "restarts": state.get("restarts"),
    }
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
        "commit": settings.commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "backend": keras.backend.backend(),
        "hardware": hardware(),
        **{k: v for k, v in optional.items() if v is not None},
        "seconds_per_epoch": state["seconds_per_epoch"],
        "segments": state["segments"],
        "history": state["history"],
        **records.outcome(state["history"], experiment.choose),
    }
