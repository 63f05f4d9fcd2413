"""Every experiment of the course, as data. Importing this imports no Keras.

An experiment is a frozen description. A variant names its parent and the *declared changes*;
everything else it takes from there. Tables, captions, tests, command line and notebooks read
this one description.
"""

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from course_lib import settings
from course_lib.counting import Parameters
from course_lib.schedules import Steps


@dataclass(frozen=True)
class Reported:
    """What a source reports. `text` in its words; `accuracy` in percent where it gives one."""

    text: str
    source: str
    accuracy: float | None = None


@dataclass(frozen=True)
class Experiment:
    """A network and a protocol. `build()` makes the network, `training.run` runs the protocol."""

    id: str
    question: str
    builder: str  # "module.function" below course_lib.models
    arguments: dict[str, Any]  # of the builder
    parameters: Parameters  # exact; tests build every network to check them
    macs: int
    dataset: str
    mean: tuple[float, ...]  # standardise: (pixel - mean) / deviation, per channel
    deviation: tuple[float, ...]
    augmentation: dict[str, Any]  # of datasets.augment
    optimizer: dict[str, Any]  # Keras class name and its arguments
    schedule: Steps  # learning rate of each epoch
    batch: int
    epochs: int
    parent: str | None = None
    changes: tuple[str, ...] = ()  # the builder arguments and fields in which it may differ
    reported: Reported | None = None
    note: str = ""

    def build(self, *, seed: int | None = None, **changes):
        """The Keras model. `changes` go to the builder: `build(block=my_block)`.

        seed: draw the first weights from it; None draws on from wherever the generator stands.
        """
        if seed is not None:
            from course_lib.backend import seed_everything

            seed_everything(seed)
        module, function = self.builder.rsplit(".", 1)
        builder = getattr(importlib.import_module(f"course_lib.models.{module}"), function)
        return builder(**{**self.arguments, **changes})

    def configuration(self) -> dict[str, Any]:
        """All that decides the result of a run, as plain JSON values."""
        config = asdict(self)
        for words in ("id", "question", "parent", "changes", "reported", "note"):
            del config[words]
        del config["parameters"], config["macs"]  # follow from the rest
        return json.loads(json.dumps(config))

    def hash(self) -> str:
        """SHA-256 of the configuration: two experiments with the same hash are the same."""
        text = json.dumps(self.configuration(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def diff(self, other: "Experiment | str | None" = None) -> str:
        """What this experiment changes against `other` (default: its parent), in words."""
        if other is None:
            if self.parent is None:
                return f"{self.id} is where its family starts: it has no parent."
            other = self.parent
        other = get(other) if isinstance(other, str) else other
        ours, theirs = _flat(self.configuration()), _flat(other.configuration())
        keys = [k for k in {**theirs, **ours} if ours.get(k) != theirs.get(k)]
        if not keys:
            return f"{self.id} and {other.id} are the same network under the same protocol."
        lines = [f"{_name(k)}: {_say(theirs, ours, k)} → {_say(ours, theirs, k)}" for k in keys]
        return f"{self.id} against {other.id}\n" + "\n".join(f"  {line}" for line in lines)

    def _repr_pretty_(self, printer, cycle):  # a notebook cell that ends with an experiment
        printer.text(f"{self.id}: {self.question}")


# In words, where the name of an argument is not yet a phrase.
_NAMES = {
    "initializer": "initialiser of the convolutions",
    "l2": "L2 weight decay on the convolutions",
    "bn": "batch normalisation after each convolution",
    "head_relu": "ReLU after the last convolution",
}


def _flat(config: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _name(key: str) -> str:
    key = key.removeprefix("arguments.")
    return _NAMES.get(key, key.replace("_", " ").replace(".", ", "))


def _say(side: dict, other: dict, key: str) -> str:
    # A switch that one side does not name stands there at its default, which is the opposite.
    switch = isinstance(other.get(key), bool)
    value = not other[key] if switch and key not in side else side.get(key)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == 0 or value is None:
        return "none"
    return str(value).replace("_", " ")


S1 = "S1, 【Keras-SqueezeNet】CIFAR-10"

_EXPERIMENTS: dict[str, Experiment] = {}


def _add(experiment: Experiment) -> Experiment:
    _EXPERIMENTS[experiment.id] = experiment
    return experiment


def _variant(parent: Experiment, name: str, question: str, *, reported=None, note="", **changes):
    """Add the parent with builder arguments or fields changed; `parameters`, `macs` follow."""
    counts = {k: changes.pop(k) for k in ("parameters", "macs") if k in changes}
    fields = {k: v for k, v in changes.items() if k in Experiment.__dataclass_fields__}
    arguments = {k: v for k, v in changes.items() if k not in fields}
    return _add(
        replace(
            parent,
            id=f"{parent.id.split('/')[0]}/{name}",
            question=question,
            arguments={**parent.arguments, **arguments},
            parent=parent.id,
            changes=tuple(changes),
            reported=reported,
            note=note,
            **counts,
            **fields,
        )
    )


# --- SqueezeNet on CIFAR-10, one change at a time (S1) -------------------------------------------

_plain = _add(
    Experiment(
        id="squeezenet/plain",
        question="Why does the loss of plain SqueezeNet never leave 2.303?",
        builder="squeezenet.squeezenet",
        arguments={"initializer": "glorot_uniform", "l2": 0.0, "bn": False},
        parameters=Parameters(729_144, 729_144, 0),
        macs=13_135_972,
        dataset="cifar10",
        mean=(125.307, 122.95, 113.865),
        deviation=(62.9932, 62.0887, 66.7048),
        augmentation={"shift": 0.125, "flip": True, "fill": "constant"},
        optimizer={"name": "SGD", "momentum": 0.9, "nesterov": True},
        schedule=Steps(((0, 0.01), (100, 0.001), (200, 0.0001))),
        batch=64,
        epochs=300,
        reported=Reported("10 %: the loss never leaves ln 10", S1, 10.0),
    )
)
_he_l2 = _variant(
    _plain,
    "he-l2",
    "Do He initialisation and weight decay set plain SqueezeNet moving?",
    initializer="he_normal",
    l2=1e-4,
    reported=Reported("85 % and more; overfits", S1, 85.0),
)
_bn = _variant(
    _he_l2,
    "bn",
    "What does batch normalisation add to good initialisation?",
    bn=True,
    parameters=Parameters(741_088, 735_116, 5_972),
    reported=Reported("86 % and more; still overfits", S1, 86.0),
)
_he = _variant(
    _plain,
    "he",
    "Is the initialiser alone the cure?",
    initializer="he_normal",
    note="A control of ours: the article changes the initialiser and adds L2 in one step.",
)
_variant(
    _plain,
    "l2",
    "Is weight decay alone the cure?",
    l2=1e-4,
    note="A control of ours: the article changes the initialiser and adds L2 in one step.",
)
_variant(
    _plain,
    "glorot-bn",
    "Does batch normalisation alone cure the plain net?",
    bn=True,
    parameters=Parameters(741_088, 735_116, 5_972),
    note="A control of ours: the article adds BN to a net that already learns.",
)
_variant(
    _plain,
    "plain-linear-head",
    "Is the ReLU after the last convolution what keeps plain SqueezeNet at 10 %?",
    head_relu=False,
    note="A control of ours: the last ReLU is a second suspect.",
)
_variant(
    _he,
    "he-linear-head",
    "Does He initialisation do better without the ReLU after the last convolution?",
    head_relu=False,
    note="A control of ours: the last ReLU is a second suspect.",
)


def ids() -> list[str]:
    """All ids, in the order in which the course meets them."""
    return list(_EXPERIMENTS)


def get(id: str) -> Experiment:
    """The experiment called `id`; a CourseError names the nearest ones."""
    if id not in _EXPERIMENTS:
        # A family's prefix must not drown the name: "squeezenet/BN" should find squeezenet/bn.
        raise settings.nearest(id, _EXPERIMENTS, "experiment")
    return _EXPERIMENTS[id]
