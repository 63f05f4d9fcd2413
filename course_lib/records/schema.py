"""What a record holds."""

SCHEMA = 2

# What stands where a record of an earlier schema did not say; a run of today says everything.
UNKNOWN = "unknown"

# What a record of this schema holds, and as what.
FIELDS = {
    "schema": int,
    "experiment": str,
    "profile": str,
    "seed": int,
    "config": dict,  # all that the experiment says of the run, see `runs.Run.configuration`
    "config_hash": str,
    "network": str,  # SHA-256 of the layer graph, see models/graph.py
    "data": dict,
    "commit": str,
    "finished": str,  # UTC
    "versions": dict,
    "backend": str,
    "precision": str,
    "threads": int,  # of one operation; they decide how sums are split
    "hardware": dict,
    "seconds_per_epoch": list,
    "segments": list,  # a run that was interrupted has several: first and last epoch of each
    "history": dict,  # a list per curve, a number per epoch
    "final": dict,  # of the last epoch
    "best": dict,  # of the epoch that choosing on the test set would have taken
}
# Of `data` and `hardware`. content: of the whole data set, in any order; fingerprint: of the
# images that the run saw, in any order; order: of those, in their order.
DATA = {"name": str, "content": str, "fingerprint": str, "order": str, "images": int,
        "test_images": int}  # fmt: skip
HARDWARE = {"processor": str, "instructions": list, "cores": int, "accelerators": list}
# What only some runs have to say, see check.py.
OPTIONAL = {"migrated", "stopped_early", "restarts", "chosen", "environment"}
# `loss` is what training lessens: the cross-entropy and, where there is weight decay, its penalty.
CURVES = ("loss", "accuracy", "cross_entropy",
          "test_loss", "test_accuracy", "test_cross_entropy", "learning_rate")  # fmt: skip
# Where images are held out for it.
VALIDATION = ("validation_loss", "validation_accuracy", "validation_cross_entropy")
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
