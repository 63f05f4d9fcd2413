"""Train a run: `train(run)` live, `train(run, folder)` resumable and recorded.

A batch is a function of (seed, epoch, step), and a checkpoint holds all that training changes.
So a run that was interrupted, however roughly, ends with the weights of one that was not.
"""

import contextlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from course_lib import backend, datasets, files, records, settings
from course_lib.backend import SeedSteps, keras, pinned, seed_everything
from course_lib.datasets import augment
from course_lib.engine import callbacks as own
from course_lib.engine import checkpoints, feeding
from course_lib.engine.progress import Progress
from course_lib.experiments import runs
from course_lib.experiments.runs import Run
from course_lib.models import graph
from course_lib.settings import CourseError


@dataclass
class Trained:
    """A run as far as it has come.

    model: after a time-out within an epoch, with the weights of that moment. data: what it sees.
    standards: (mean, deviation) of its preprocessing. state: what a checkpoint says of it.
    record: None for a part and for a live run.
    """

    run: Run
    model: keras.Model
    data: datasets.Dataset
    standards: tuple[np.ndarray, np.ndarray]
    state: dict
    record: dict | None = None

    @property
    def experiment(self):
        return self.run.experiment

    @property
    def history(self) -> dict[str, list[float]]:
        """A list per curve, a number per completed epoch."""
        return self.state["history"]

    @property
    def epochs(self) -> int:
        """How many are completed."""
        return len(self.history["loss"])

    @property
    def finished(self) -> bool:
        return self.state["stopped_early"] or self.epochs == self.run.configuration()["epochs"]

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch, in percent."""
        if not self.epochs:
            raise CourseError("no epoch was completed: allow more minutes")
        return 100 * self.history["test_accuracy"][-1]

    def predict(self, images) -> np.ndarray:
        """Probabilities (count, classes) of the images, (count, height, width, 3) uint8.

        They are standardised as the run's own were, batch by batch. CourseError for other images.
        """
        shape = self.data.x_train.shape[1:]
        if images.dtype != np.uint8 or tuple(images.shape[1:]) != tuple(shape):
            wanted = ", ".join(map(str, shape))
            raise CourseError(
                f"predict takes images as they are, uint8 (count, {wanted}), not {images.dtype} "
                f"{tuple(images.shape)}"
            )
        nothing = np.zeros(len(images), int)  # in place of labels
        return self.model.predict(feeding.Evaluated(images, nothing, *self.standards), verbose=0)


def train(run: Run, folder: Path | None = None, *, minutes=None, callbacks=(), **options):
    """Train `run` from where it stands; a Trained.

    folder: of local runs. Checkpoints go below it, an interrupted run resumes from them, and the
        record is written there at the end.
    minutes: stop in time, with a checkpoint.
    callbacks: further Keras callbacks that look on, `keras.callbacks.TensorBoard("logs")`. A run
        that one of them stops goes on at the next call.
    options: as for `begin`. Those that change what is trained make it a live run, without a record.
    """
    limit = None if minutes is None else 60 * settings.positive(minutes, "minutes")
    deadline = limit and time.monotonic() + limit
    trained = begin(run, folder, **options)
    # The same run in another process would write the same files.
    place = folder and files.writable(run.checkpoints(folder))
    with files.alone(place) if place else contextlib.nullcontext():
        trained = restore(trained, folder) if folder else trained
        todo = not trained.finished
        if todo:
            fit(trained, folder, deadline, callbacks)
        if trained.finished and trained.state["run"]["network"]:
            trained.record = _kept(trained, folder, todo)
    return trained


def begin(run: Run, folder: Path | None = None, *, data=None, on_device=None, **changes) -> Trained:
    """`run` before its first step: network, data, state.

    data: a Dataset instead of the one that experiment and profile name. on_device: images stay on
    the accelerator, many steps are one call; None: where JAX has one. changes: go to the builder,
    `block=my_block`. Raises CourseError for what cannot be recorded in `folder`.
    """
    live = bool(changes or data or run.is_live)
    if live and folder:
        raise CourseError("a run with changes of its own cannot be recorded: leave out `folder`")
    if run.restarts and not folder:
        raise CourseError("a run starts again from a checkpoint: name its `folder`")
    augment.check(run.experiment.augmentation, whole=True)
    run = replace(run, precision=run.precision or backend.precision(run.profile.precisions))
    config, here = run.configuration(), backend.circumstances()
    network = "" if live else graph.of(run.experiment)
    data = data or datasets.load(config["data"])
    data = feeding.take(data, run.experiment, config["images"], config["test_images"])
    standards = feeding.standards(run.experiment, data.x_train)
    if on_device is None:
        on_device = keras.backend.backend() == "jax" and bool(here["hardware"]["accelerators"])
    wrap = (lambda m: feeding.scanned(m, run.experiment, *standards)) if on_device else None
    seed_everything(run.seed)
    model = compiled(run.experiment, wrap=wrap, precision=run.precision, **changes)
    identity = {
        "experiment": run.experiment.id,
        "profile": run.profile.name,
        "seed": run.seed,
        "configuration": runs.digest(config),
        "network": network,
        "backend": keras.backend.backend(),
        "precision": run.precision,
    }
    curves = records.CURVES + (records.VALIDATION if data.x_val is not None else ())
    state = {
        "run": identity,
        "circumstances": here,
        "history": {curve: [] for curve in curves},
        "seconds_per_epoch": [],
        "segments": [],
        "stopped_early": False,
    }
    return Trained(run, model, data, standards, state)


def compiled(experiment, *, wrap=None, precision="float32", **changes):
    """The experiment's network, compiled with its optimizer; `changes` go to the builder.

    wrap: a function of the network that returns the one to compile in its place.
    precision: a Keras dtype policy.
    """
    with pinned(precision):
        model = experiment.build(precision=precision, **changes)
        model = wrap(model) if wrap else model
        model.compile(
            _named(keras.optimizers, learning_rate=experiment.schedule(0), **experiment.optimizer),
            loss="sparse_categorical_crossentropy",
            # The loss contains the penalty of weight decay; the cross-entropy by itself does not.
            metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy")],
        )
        # TensorFlow traces a step twice in which a variable is made: a fifth of a short run.
        model.optimizer.build(model.trainable_variables)
        model.compute_metrics(None, np.zeros(1, int), np.ones((1, model.output_shape[-1]), "f4"))
        model.reset_metrics()
    return model


def _named(module, name: str, **options):
    """The optimizer or callback that an experiment names."""
    return getattr(module, name)(**options)


def restore(trained: Trained, folder: Path) -> Trained:
    """`trained` as its newest checkpoint below `folder` has it, or the one to restart from; as it
    is where there is none."""
    run, model, identity = trained.run, trained.model, trained.state["run"]
    found = checkpoints.load(model, run.checkpoints(folder), identity)
    if run.restarts and not found:
        left = run.left().checkpoints(folder)
        found = checkpoints.restart(model, left, identity, *run.restarts[-1])
    return replace(trained, state=trained.state | (found or {}))


def restored(run: Run, folder: Path) -> Trained:
    """A finished run from its checkpoint below `folder`; a CourseError where there is none."""
    trained = restore(begin(run, folder), folder)
    if not trained.finished:
        raise CourseError(
            f"{run.checkpoints(folder)} holds no finished run: run the experiment first"
        )
    return trained


def fit(trained: Trained, folder: Path | None, deadline: float | None, callbacks=()) -> None:
    """Train the epochs that are left, and keep each in `trained.state` and, below `folder`, in a
    checkpoint."""
    run, data, state = trained.run, trained.data, trained.state
    protocol, model, done = run.protocol, trained.model, trained.epochs
    place = run.checkpoints(folder) if folder else None
    checkpoints.goes_on(state["circumstances"], backend.circumstances(), place)
    state["segments"].append([done + 1, done])
    keep = own.Keep(state, place, deadline, protocol.keep_every)
    watched, name = feeding.Evaluated(data.x_test, data.y_test, *trained.standards), "test"
    if data.x_val is not None:
        keep.tested = watched
        watched = feeding.Evaluated(data.x_val, data.y_val, *trained.standards)
        name = "validation"
    feed, steps = feeding.batches, feeding.steps_per_epoch(len(data.x_train), protocol)
    if hasattr(model, "scanned"):  # many steps in one call
        feed, steps = feeding.chunks, feeding.chunks_per_epoch(len(data.x_train), protocol)
        model.evaluate(watched, steps=1, verbose=0)  # builds loss and metrics on plain batches
    epochs = run.configuration()["epochs"]
    own_callbacks = [_named(keras.callbacks, **options) for options in protocol.callbacks]
    progress = Progress(f"{protocol.id}, seed {run.seed}", steps, epochs, done, name)
    # Whatever ends it, the bar is closed; after a time-out the checkpoint has the last epoch.
    with contextlib.closing(progress), contextlib.suppress(TimeoutError):
        model.fit(
            feed(data, protocol, run.seed, done, trained.standards),
            shuffle=False,  # `feed` has shuffled
            steps_per_epoch=steps,
            epochs=epochs,
            initial_epoch=done,
            validation_data=watched,
            verbose=0,
            callbacks=[
                keras.callbacks.LearningRateScheduler(lambda e, _: _rate(protocol, state, e)),
                SeedSteps(run.seed),
                *own_callbacks,
                own.Replay(own_callbacks, state),
                progress,
                keep,
                *callbacks,  # after `keep`: what they stop has not ended
            ],
        )


def _rate(experiment, state, epoch: int) -> float:
    """The learning rate of an epoch: the schedule's, until a restart by hand."""
    by_hand = [rate for start, rate in state.get("restarts", []) if epoch >= start]
    return by_hand[-1] if by_hand else experiment.schedule(epoch)


def _kept(trained: Trained, folder: Path | None, new: bool) -> dict:
    """The record of a finished run. One that stands below `folder` says when and where the run was
    made, so it is written anew only where training went on, or where it is damaged."""
    if folder and not new:
        with contextlib.suppress(CourseError):
            return records.read(trained.run.file(folder))
    record = _record(trained)
    if folder:
        records.write(record, folder)
    return record


def _record(trained: Trained) -> dict:
    state, data = trained.state, trained.data
    run, here = state["run"], state["circumstances"]
    optional = {
        "stopped_early": state["stopped_early"] or None,
        "environment": here["environment"] or None,
        "restarts": state.get("restarts"),
    }
    return {
        "schema": records.SCHEMA,
        "experiment": run["experiment"],
        "profile": run["profile"],
        "seed": run["seed"],
        "config": trained.run.configuration(),
        "config_hash": run["configuration"],
        "network": run["network"],
        "data": {
            "name": data.name,
            "content": data.content,
            "fingerprint": data.fingerprint(),
            "order": data.order(),
            "images": len(data.x_train),
            "test_images": len(data.x_test),
        },
        "commit": here["commit"],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": here["versions"],
        "backend": run["backend"],
        "precision": run["precision"],
        "threads": here["threads"],
        "hardware": here["hardware"],
        **{k: v for k, v in optional.items() if v is not None},
        "seconds_per_epoch": state["seconds_per_epoch"],
        "segments": state["segments"],
        "history": state["history"],
        **records.outcome(state["history"], trained.experiment.choose),
    }
