"""Every experiment of the course, as data. Importing this imports no Keras.

The experiments stand in the TOML files beside this one, a file per family. A variant names its
parent and what it changes; everything else it takes from there. Tables, captions, tests, command
line and notebooks read this one description.
"""

import importlib
import json
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from course_lib import settings
from course_lib.schedules import Polynomial, Steps, shortened

# In the order in which the course meets them.
FAMILIES = ("small", "squeezenet", "squeezenet_miniatures", "fire", "googlenet", "resnet")
FAMILIES += ("densenet", "deepergooglenet")


class Parameters(NamedTuple):
    """Counts of numbers: those that training changes, and those that it only observes."""

    total: int
    trainable: int
    non_trainable: int


class Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source reports. `text` in its words; `accuracy` in percent where it gives one."""

    text: str
    source: str = ""  # that of the file, unless an entry names its own
    accuracy: float | None = None


@dataclass(frozen=True)
class Experiment:
    """A network and a protocol, as its entry in the TOML files says: `build()` makes the network,
    `run()` trains it, `configuration()` shows what decides the result."""

    id: str
    question: str
    builder: str  # "module.function" below course_lib.models
    arguments: dict[str, Any]  # of the builder, every one but its block
    parameters: Parameters  # exact; tests build every network to check them
    macs: int
    dataset: str
    # (pixel - mean) / deviation; the mean is a number per channel, or "channel" or "pixel": the
    # mean of the training images per channel, or per channel and place.
    mean: tuple[float, ...] | str
    deviation: tuple[float, ...]
    augmentation: dict[str, Any]  # of datasets.augment
    optimizer: dict[str, Any]  # Keras class name and its arguments
    schedule: Steps | Polynomial  # learning rate of each epoch
    batch: int
    epochs: int
    # Below stand habits of single articles, right or wrong; each is left out of a configuration
    # where it does not apply.
    whole_batches: bool = False  # leave out an epoch's last batch when it is incomplete
    validation: int = 0  # so many of the last training images, unshuffled, are held out
    callbacks: tuple[dict, ...] = ()  # Keras class names and their arguments, after the schedule
    choose: str = ""  # "highest test_accuracy": whose epoch the article keeps
    keep_every: int = 0  # epochs between checkpoints that stay, to start again from
    first_classes: int = 0  # of the data set only so many classes
    quick: dict[str, int] | None = None  # a budget of its own under the profile `quick`
    parent: str | None = None
    changes: tuple[str, ...] = ()  # the builder arguments and fields in which it may differ
    reported: Reported | None = None
    note: str = ""
    weights: bool = False  # those of its seed 0 are published, while there is room for them

    def build(self, *, seed: int | None = None, precision: str = "float32", **changes):
        """The Keras model. `changes` go to the builder: `build(block=my_block)`.

        seed: draw the first weights from it; None draws on from wherever the generator stands.
        precision: a Keras dtype policy, whatever policy and settings Keras has outside.
        """
        backend = _later("backend")
        with backend.pinned(precision):
            if seed is not None:
                backend.seed_everything(seed)
            module, function = self.builder.rsplit(".", 1)
            builder = getattr(_later(f"models.{module}"), function)
            return builder(**{**self.arguments, **changes})

    def trained(self):
        """The Keras model with its published weights; a CourseError where there are none."""
        model = self.build()
        _later("engine.checkpoints").load_weights(model, settings.weights_of(self.id))
        return model

    def run(
        self, profile=None, seed=None, *, precision=None, restarts=(), images=None,
        test_images=None, epochs=None, keep=False, **options,
    ):  # fmt: skip
        """Train it; a `Trained` with `history`, `accuracy` and `predict`.

        precision, restarts, images, test_images, epochs: as for `runs.Run`. keep: checkpoints
        and record go among your own runs, and an interrupted run goes on. options: `minutes` to
        stop in time, `callbacks` of Keras that look on, `data` of your own, and `folder` and
        `on_device`, see engine/training.py; all others go to the builder, `block=my_block`.
        """
        if keep:
            options["folder"] = settings.runs_dir()
        asked = {"images": images, "test_images": test_images, "epochs": epochs}
        what = _later("experiments.runs").named(
            self, profile, seed, precision=precision, restarts=restarts, **asked
        )
        return _later("engine.training").train(what, **options)

    def records(self, profile: str | None = None) -> list[dict]:
        """Its published records, by seed; without `profile` those of the one with most seeds."""
        return _later("records").load(self, profile)

    def data(self, profile=None):
        """The Dataset that its runs see under that profile, all images of it."""
        config = _later("experiments.runs").named(self, profile).configuration()
        return _later("engine.feeding").take(_later("datasets").load(config["data"]), self)

    def standardised(self, images, training=None):
        """`images`, (count, height, width, 3) uint8, as its networks are fed them: float32.

        training: the images whose mean counts where the mean is one by name; by default all.
        """
        if training is None and isinstance(self.mean, str):
            training = self.data().x_train
        standards = _later("engine.feeding").standards(self, training)
        return _later("datasets.augment").standardise(images, *standards)

    def configuration(self) -> dict[str, Any]:
        """All that decides the result of a run, as plain JSON values."""
        decides = [f for f in fields(self) if f.name not in _WORDS]
        config = {f.name: v for f in decides if (v := getattr(self, f.name)) != f.default}
        config["schedule"] = msgspec.to_builtins(self.schedule)
        return json.loads(json.dumps(config))

    def divided(self, by: int) -> "Experiment":
        """The same protocol in a `by`-th of its epochs: rounded, a half up, and at least one.

        What counts epochs is divided: their number, the drops of the schedule or the length of
        its decay, the patience of callbacks, the epochs between checkpoints that stay.
        """
        if by == 1:
            return self
        callbacks = [
            {k: max(1, shortened(v, by)) if k == "patience" else v for k, v in callback.items()}
            for callback in self.callbacks
        ]
        return replace(
            self,
            schedule=self.schedule.divided(by),
            epochs=max(1, shortened(self.epochs, by)),
            callbacks=tuple(callbacks),
            keep_every=self.keep_every and max(1, shortened(self.keep_every, by)),
        )

    def diff(self, other: "Experiment | str | None" = None) -> str:
        """What this experiment changes against `other` (default: its parent), in words."""
        if other is None:
            if self.parent is None:
                return f"{self.id} is where its family starts: it has no parent."
            other = self.parent
        other = get(other) if isinstance(other, str) else other
        ours, theirs = _flat(self.configuration()), _flat(other.configuration())
        keys = [k for k in {**theirs, **ours} if ours.get(k) != theirs.get(k)]
        if ours["builder"] != theirs["builder"]:  # what one alone is given has no counterpart
            both = [k for k in ours if k in theirs and _name(ours, k) == _name(theirs, k)]
            keys = [k for k in keys if not k.startswith("arguments.") or k in both]
        if not keys:
            return f"{self.id} and {other.id} are the same network under the same protocol."
        lines = [
            f"{_name(ours, k)}: {_say(theirs, ours, k)} → {_say(ours, theirs, k)}" for k in keys
        ]
        return f"{self.id} against {other.id}\n" + "\n".join(f"  {line}" for line in lines)

    def _repr_pretty_(self, printer, cycle):  # a notebook cell that ends with an experiment
        printer.text(f"{self.id}: {self.question}")


def _later(module: str):
    """A module of a later room, for what an experiment offers in a notebook."""
    return importlib.import_module(f"course_lib.{module}")


def _toml(name: str) -> dict:
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))


def _flat(config: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _own(kind: str, side: dict, key: str) -> str | None:
    """The words for that argument of the builder, else of its module, else of any."""
    words = _toml("words")[kind]
    key = key.removeprefix("arguments.")
    keys = (f"{side['builder']}.{key}", f"{side['builder'].split('.')[0]}.{key}", key)
    return next((words[k] for k in keys if k in words), None)


def _name(side: dict, key: str) -> str:
    phrase = key.removeprefix("arguments.").replace("_", " ").replace(".", ", ")
    return _own("names", side, key) or phrase


def _say(side: dict, other: dict, key: str) -> str:
    # A switch that one side does not name stands there at its default, which is the opposite.
    switch = isinstance(other.get(key), bool)
    usual = _own("usual", side, key)
    value = not other[key] if switch and key not in side else side.get(key, usual)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == 0 or value is None:
        return "none"
    return str(value).replace("_", " ")


# What describes an experiment without deciding its result, and what follows from the rest.
_WORDS = {"id", "question", "parent", "changes", "reported", "note", "parameters", "macs", "quick"}
_WORDS |= {"keep_every", "weights"}


def _entry_with(schedule):
    """What an entry of a TOML file with such a schedule may hold, and as what."""
    kinds = {f.name: f.type for f in fields(Experiment)} | {"schedule": schedule}
    known = [(name, kind, None) for name, kind in kinds.items()]
    return msgspec.defstruct("Entry", known, forbid_unknown_fields=True)


_STEPS, _POLYNOMIAL = _entry_with(Steps), _entry_with(Polynomial)


def _frozen(value):
    """TOML's arrays as tuples."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {k: _frozen(v) for k, v in value.items()} if isinstance(value, dict) else value


def _experiment(id: str, entry: dict, source: str, known: dict) -> Experiment:
    """One entry of a TOML file; a variant's `arguments` are added to those of its parent."""
    schedule = entry.get("schedule")
    polynomial = isinstance(schedule, dict) and "rates" not in schedule
    typed = settings.typed(_frozen(entry), _POLYNOMIAL if polynomial else _STEPS)
    entry = {key: getattr(typed, key) for key in entry}
    if reported := entry.get("reported"):
        source = reported.source or source
        entry["reported"] = msgspec.structs.replace(reported, source=source)
    if "parent" not in entry:
        return Experiment(id=id, **entry)
    if entry["parent"] not in known:  # a parent stands before its children
        raise settings.nearest(entry["parent"], known, "parent")
    parent = known[entry["parent"]]
    changed = {**entry.pop("arguments", {})}
    changes = (*changed, *(k for k in entry if k not in _WORDS))
    own = {"reported": None, "note": "", "quick": None, "weights": False, "changes": changes}
    entry = {**own, **entry}
    return replace(parent, id=id, arguments={**parent.arguments, **changed}, **entry)


def _read() -> dict[str, Experiment]:
    known: dict[str, Experiment] = {}
    for family in FAMILIES:
        entries = _toml(family)
        source = entries.pop("source")
        for id, entry in entries.items():
            try:
                known[id] = _experiment(id, entry, source, known)
            except (TypeError, settings.CourseError) as error:  # a missing field is a TypeError
                raise settings.CourseError(f"{family}.toml, {id}: {error}") from error
    return known


_EXPERIMENTS = _read()


def ids() -> list[str]:
    """All ids, in the order in which the course meets them."""
    return list(_EXPERIMENTS)


def get(id: str) -> Experiment:
    """The experiment called `id`; a CourseError names the nearest ones."""
    if id not in _EXPERIMENTS:
        # A family's prefix must not drown the name: "squeezenet/BN" should find squeezenet/bn.
        raise settings.nearest(id, _EXPERIMENTS, "experiment")
    return _EXPERIMENTS[id]
