"""Train an experiment: `run(experiment)` live, `run(..., folder=...)` resumable and recorded.

A batch is a function of (seed, epoch, step), and a checkpoint holds all that training changes.
So a run that was interrupted, however roughly, ends with the weights of one that was not.
"""

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from course_lib import callbacks as own
from course_lib import checkpoints, datasets, experiments, feeding, lock, records, settings
from course_lib.backend import SeedSteps, hardware, keras, pinned, seed_everything, versions
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
            metrics=["accuracy"],
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
    precision: a Keras dtype policy, of records.PRECISIONS.
    on_device: images stay on the accelerator, many steps are one call; None: where JAX has one.
    train: False restores a finished run and raises a CourseError where there is none.
    callbacks: further Keras callbacks that look on, `keras.callbacks.TensorBoard("logs")`. A run
        that one of them stops goes on at the next call.
    changes: go to the builder, `run(experiment, block=my_block)`; such a run has no record.
    """
    experiment = experiments.get(experiment) if isinstance(experiment, str) else experiment
    profile = settings.profile(profile)
    seed = settings.seed() if seed is None else settings.seed_from(seed, "seed")
    settings.commit()  # of the code that is running, whatever is committed meanwhile
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
    model = compiled(experiment, wrap=wrap, precision=precision, **changes)
    more = records.VALIDATION if data.x_val is not None else ()
    state = {
        # Another backend's checkpoint is not continued: it draws and rounds otherwise.
        "config_hash": f"{records.digest(config)} {keras.backend.backend()} {precision}",
        "history": {curve: [] for curve in (*records.CURVES, *more)},
        "seconds_per_epoch": [],
        "segments": [],
    }
    checkpoint = file.with_suffix("") if folder else None

    def ended() -> bool:
        return state.get("stopped_early") or len(state["history"]["loss"]) == config["epochs"]

    # The same run in another process would write the same files.
    with lock.alone(settings.writable(checkpoint)) if folder else contextlib.nullcontext():
        if folder:
            state |= _restored(model, place, restarts, precision, state["config_hash"])
        todo = not ended()
        if todo and not train:
            raise CourseError(f"{checkpoint} holds no finished run: run the experiment first")
        if todo:
            keep = own.Keep(state, checkpoint, deadline, experiment.keep_every)
            last = config["epochs"]
            _fit(model, experiment, data, standards, seed, last, keep, on_device, callbacks)
        record = None
        if ended() and not live:
            with contextlib.suppress(CourseError):  # it says when and where the run was made
                record = records.read(file) if folder and not todo else None
            if record is None:
                record = _record(experiment, profile, seed, config, data, state, precision)
                if folder:
                    records.write(record, folder)
    return Run(experiment, model, data, state["history"], record, ended())


def _restored(model, place, restarts, precision, config_hash) -> dict:
    """The state of the run's newest checkpoint, or of the one to restart from; else empty."""
    checkpoint = records.path(*place, restarts, precision).with_suffix("")
    model.optimizer.build(model.trainable_variables)
    found = checkpoints.load(model, checkpoint, config_hash)
    if restarts and not found:
        left = records.path(*place, restarts[:-1], precision).with_suffix("")
        found = checkpoints.restart(model, left, config_hash, *restarts[-1])
    if not found and (checkpoint / checkpoints.NEWEST).exists():
        other = f"{checkpoint} is of another backend or another version of the experiment"
        raise CourseError(f"{other}: delete it, or choose another COURSE_RUNS_DIR")
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
