"""Train an experiment: `run(experiment)` live, `run(..., folder=...)` resumable and recorded.

A batch is a function of (seed, epoch, step), and a checkpoint holds all that training changes.
So a run that was interrupted, however roughly, ends with the weights of one that was not.
"""

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from course_lib import (
    backend,
    checkpoints,
    datasets,
    experiments,
    feeding,
    graph,
    lock,
    records,
    settings,
)
from course_lib import callbacks as own
from course_lib.backend import SeedSteps, keras, pinned, seed_everything
from course_lib.progress import Progress
from course_lib.settings import CourseError


@dataclass
class Run:
    """What `run` returns. history: a list per curve; record: None for a part and a live run.

    model: after a time-out within an epoch, with the weights of that moment.
    """

    experiment: experiments.Experiment
    model: keras.Model
    data: datasets.Dataset
    history: dict[str, list[float]]
    record: dict | None
    finished: bool

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch, in percent."""
        if not self.history["loss"]:
            raise CourseError("no epoch was completed: allow more minutes")
        return 100 * self.history["test_accuracy"][-1]


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
    return model


def _named(module, name: str, **options):
    """The optimizer or callback that an experiment names."""
    return getattr(module, name)(**options)


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
    precision=None,
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
    precision: a Keras dtype policy, of records.PRECISIONS; None: the profile's.
    on_device: images stay on the accelerator, many steps are one call; None: where JAX has one.
    train: False restores a finished run and raises a CourseError where there is none.
    callbacks: further Keras callbacks that look on, `keras.callbacks.TensorBoard("logs")`. A run
        that one of them stops goes on at the next call.
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
    if precision is None:
        precision = backend.precision(profile.precisions)
    place = experiment.id, profile.name, seed, folder
    file = records.path(*place, restarts, precision)
    # The budget of the `ci` profile is smaller than any live cell asks for.
    budget = {"images": images, "test_images": test_images, "epochs": epochs}
    budget = {} if profile.name == "ci" else budget
    config = records.configuration(experiment, profile, **budget)
    protocol = experiment.divided(profile.divide)
    deadline = time.monotonic() + 60 * minutes if minutes else None
    if restarts and restarts[-1][0] >= config["epochs"]:
        raise CourseError(f"nothing follows epoch {restarts[-1][0]} of {config['epochs']}")

    here = backend.circumstances()
    network = "" if live else graph.of(experiment)
    data = data or datasets.load(config["data"])
    data = feeding.take(data, experiment, config["images"], config["test_images"])
    standards = feeding.standards(experiment, data.x_train)
    if on_device is None:
        on_device = keras.backend.backend() == "jax" and bool(here["hardware"]["accelerators"])
    wrap = (lambda m: feeding.scanned(m, experiment, *standards)) if on_device else None
    seed_everything(seed)
    model = compiled(experiment, wrap=wrap, precision=precision, **changes)
    state = {
        "run": {
            "experiment": experiment.id,
            "profile": profile.name,
            "seed": seed,
            "configuration": records.digest(config),
            "network": network,
            "backend": keras.backend.backend(),
            "precision": precision,
        },
        "circumstances": here,
        "history": {curve: [] for curve in records.CURVES},
        "seconds_per_epoch": [],
        "segments": [],
    }
    if data.x_val is not None:
        state["history"] |= {curve: [] for curve in records.VALIDATION}
    checkpoint = file.with_suffix("") if folder else None

    def ended() -> bool:
        return state.get("stopped_early") or len(state["history"]["loss"]) == config["epochs"]

    # The same run in another process would write the same files.
    with lock.alone(settings.writable(checkpoint)) if folder else contextlib.nullcontext():
        if folder:
            state |= _restored(model, place, restarts, precision, state["run"])
        todo = not ended()
        if todo and not train:
            raise CourseError(f"{checkpoint} holds no finished run: run the experiment first")
        if todo:
            checkpoints.goes_on(state["circumstances"], here, checkpoint)
            keep = own.Keep(state, checkpoint, deadline, protocol.keep_every)
            last = config["epochs"]
            _fit(model, protocol, data, standards, seed, last, keep, on_device, callbacks)
        record = None
        if ended() and not live:
            with contextlib.suppress(CourseError):  # it says when and where the run was made
                record = records.read(file) if folder and not todo else None
            if record is None:
                record = _record(experiment, config, data, state)
                if folder:
                    records.write(record, folder)
    return Run(experiment, model, data, state["history"], record, ended())


def _restored(model, place, restarts, precision, run) -> dict:
    """The state of the run's newest checkpoint, or of the one to restart from; else empty."""
    checkpoint = records.path(*place, restarts, precision).with_suffix("")
    model.optimizer.build(model.trainable_variables)
    found = checkpoints.load(model, checkpoint, run)
    if restarts and not found:
        left = records.path(*place, restarts[:-1], precision).with_suffix("")
        found = checkpoints.restart(model, left, run, *restarts[-1])
    return found or {}


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
                own.Replay(protocol, keep.state),
                progress,
                keep,
                *callbacks,  # after `keep`: what they stop has not ended
            ],
        )


def _rate(experiment, state, epoch: int) -> float:
    """The learning rate of an epoch: the schedule's, until a restart by hand."""
    by_hand = [rate for start, rate in state.get("restarts", []) if epoch >= start]
    return by_hand[-1] if by_hand else experiment.schedule(epoch)


def _record(experiment, config, data, state) -> dict:
    run, here = state["run"], state["circumstances"]
    optional = {
        "stopped_early": state.get("stopped_early") or None,
        "environment": here["environment"] or None,
        "restarts": state.get("restarts"),
    }
    return {
        "schema": records.SCHEMA,
        "experiment": run["experiment"],
        "profile": run["profile"],
        "seed": run["seed"],
        "config": config,
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
        **records.outcome(state["history"], experiment.choose),
    }
