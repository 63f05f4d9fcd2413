"""What a record holds and where it stands."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, defstruct

from course_lib import settings

SCHEMA = 2
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

# What stands where a record of an earlier schema did not say; a run of today says everything.
UNKNOWN = "unknown"

# What stands in messages, in tables and in other files is one line of text.
Line = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*\Z")
]
Count = Annotated[int, Meta(ge=1)]
Unknown = Literal["unknown"]


class Data(Struct, forbid_unknown_fields=True):
    """The images. content: of the whole data set, in any order; fingerprint: of those that the run
    saw, in any order; order: of those, in their order."""

    name: Line
    content: Line
    fingerprint: Line
    order: Line
    images: Count
    test_images: Count


class Hardware(Struct, forbid_unknown_fields=True):
    """What the run ran on."""

    processor: Line
    instructions: list[Line] | Unknown
    cores: Count
    accelerators: list[Line]


Curve = list[float] | Unknown  # a number per epoch

# `loss` is what training lessens: the cross-entropy and, where there is weight decay, its penalty.
CURVES = ("loss", "accuracy", "cross_entropy",
          "test_loss", "test_accuracy", "test_cross_entropy", "learning_rate")  # fmt: skip
# Where images are held out for it.
VALIDATION = ("validation_loss", "validation_accuracy", "validation_cross_entropy")
History = defstruct(
    "History",
    [*((curve, Curve) for curve in CURVES), *((curve, Curve, []) for curve in VALIDATION)],
    forbid_unknown_fields=True,
)


class Record(Struct, forbid_unknown_fields=True):
    """What a record of this schema holds, and as what; `check` says more."""

    schema: int
    experiment: Line
    profile: Line
    seed: Annotated[int, Meta(ge=0, lt=2**32)]
    config: dict  # all that the experiment says of the run, see `configuration`
    config_hash: Line
    network: Line  # SHA-256 of the layer graph, see course_lib/graph.py
    data: Data
    commit: Annotated[str, Meta(pattern=r"^([0-9a-f]{7,40}(-dirty)?|unknown)\Z")]
    finished: Line  # UTC
    versions: dict[str, Annotated[Line, Meta(min_length=1)]]
    backend: Literal["tensorflow", "jax", "torch"]
    precision: Literal[PRECISIONS]
    threads: Count | Unknown  # of one operation; they decide how sums are split
    hardware: Hardware
    seconds_per_epoch: list[float]
    segments: list[tuple[int, int]]  # first and last epoch; several where it was interrupted
    history: History
    final: dict[str, float]  # of the last epoch
    best: dict[str, float]  # of the epoch that choosing on the test set would have taken
    # What only some runs have to say.
    migrated: Line = ""
    stopped_early: bool = False
    restarts: list[tuple[int, float]] = []
    chosen: dict[str, float] = {}
    environment: dict[str, Line] = {}


# What schema 1 did not ask, so that a migrated record may say `UNKNOWN`, and no other.
NOT_ASKED = {"threads", "data content", "data order", "hardware instructions",
             "history cross_entropy", "history test_cross_entropy",
             "history validation_cross_entropy"}  # fmt: skip


def configuration(experiment, profile, **changes) -> dict:
    """The experiment's configuration with what the profile takes of it; plain JSON values.

    changes: `images`, `test_images`, `epochs` of a live run that uses fewer.
    """
    protocol = experiment.divided(profile.divide)
    config = protocol.configuration()
    config["protocol_epochs"] = experiment.epochs
    config["data"] = (profile.data or {}).get(config["dataset"], config["dataset"])
    config["images"] = profile.images
    config["test_images"] = profile.test_images
    config["epochs"] = profile.epochs or protocol.epochs
    config.update((experiment.quick or {}) if profile.name == "quick" else {})
    config.update({k: v for k, v in changes.items() if v is not None})
    return config


def digest(config: dict) -> str:
    """SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def path(
    id: str, profile: str, seed: int, folder: Path | None = None, restarts=(), precision=None
) -> Path:
    """Where the record of that run stands: below `folder`, by default the published ones.

    restarts: (epoch, learning rate) of each time it was started again by hand. precision: one of
    PRECISIONS; None for one of the profile's own. Runs with restarts or in a precision that is
    not the profile's have files of their own, which are in no table.
    """
    own = settings.PROFILES[profile].precisions
    precision = own[0] if precision is None else precision
    if precision not in PRECISIONS:
        raise settings.nearest(precision, PRECISIONS, "precision")
    name = f"{profile}-seed{seed}"
    name += "".join(f"-from{epoch}-at{rate:g}" for epoch, rate in restarts)
    name += f"-{precision}" if precision not in own else ""
    return (folder or settings.RECORDS_DIR) / id / f"{name}.json"


def path_of(record: dict, folder: Path | None = None) -> Path:
    """Where that record belongs, which has passed `check`: else its words are no path."""
    run = record["experiment"], record["profile"], record["seed"], folder
    return path(*run, record.get("restarts", ()), record["precision"])


def outcome(history: dict, choose: str = "") -> dict:
    """`final` and `best` of a history, and `chosen`, the epoch whose weights the article keeps.

    choose: "highest test_accuracy", say; without it there is no `chosen`. Of several epochs the
    first. Epochs count from 1. Accuracies are fractions.
    """
    accuracy = history["test_accuracy"]
    rows = {"final": len(accuracy) - 1, "best": _first("highest test_accuracy", history)}
    if choose:
        rows["chosen"] = _first(choose, history)
    return {
        name: {"epoch": k + 1, "test_accuracy": accuracy[k], "test_loss": history["test_loss"][k]}
        for name, k in rows.items()
    }


def _first(rule: str, history: dict) -> int:
    which, curve = rule.split()
    values = history[curve]
    return values.index(max(values) if which == "highest" else min(values))
