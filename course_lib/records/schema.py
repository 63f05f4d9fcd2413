"""What a record holds."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, defstruct

from course_lib.experiments import runs

SCHEMA = 2

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
    config: dict  # all that the experiment says of the run, see `runs.Run.configuration`
    config_hash: Line
    network: Line  # SHA-256 of the layer graph, see models/graph.py
    data: Data
    commit: Annotated[str, Meta(pattern=r"^([0-9a-f]{7,40}(-dirty)?|unknown)\Z")]
    finished: Line  # UTC
    versions: dict[str, Annotated[Line, Meta(min_length=1)]]
    backend: Literal["tensorflow", "jax", "torch"]
    precision: Literal[runs.PRECISIONS]
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
