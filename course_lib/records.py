"""A run record: what a run was, what it saw and what came out, as one JSON file.

`data/records/<experiment>/<profile>-seed<seed>.json`. Figures in the book come from these files.
"""

import contextlib
import hashlib
import json
import math
from pathlib import Path
from statistics import mean, stdev, variance

from course_lib import experiments, settings
from course_lib.settings import CourseError

SCHEMA = 1
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

# What a record of this schema holds, and as what.
FIELDS = {
    "schema": int,
    "experiment": str,
    "profile": str,
    "seed": int,
    "config": dict,  # all that decides the result, see `configuration`
    "config_hash": str,
    "data": dict,  # name, fingerprint, images, test_images
    "commit": str,
    "finished": str,  # UTC
    "versions": dict,
    "backend": str,
    "hardware": dict,
    "seconds_per_epoch": list,
    "segments": list,  # a run that was interrupted has several: first and last epoch of each
    "history": dict,  # a list per curve, a number per epoch
    "final": dict,  # of the last epoch
    "best": dict,  # of the epoch that choosing on the test set would have taken
}
CURVES = ("loss", "accuracy", "test_loss", "test_accuracy", "learning_rate")
VALIDATION = ("validation_loss", "validation_accuracy")  # where images are held out for it

# Multiply-accumulates a second in training on two laptop cores: for a first guess of the time,
# until the experiment has a record of its own.
GUESS = 20e9
CLASSES_AND_IMAGES = {"cifar10": (10, 5_000), "tiny-imagenet": (200, 450)}  # of each class


def configuration(experiment, profile, **changes) -> dict:
    """The experiment's configuration with what the profile takes of it; plain JSON values.

    changes: `images`, `test_images`, `epochs` of a live run that uses fewer.
    """
    config = experiment.configuration()
    config["protocol_epochs"] = config.pop("epochs")
    config["data"] = (profile.data or {}).get(config["dataset"], config["dataset"])
    config["images"] = profile.images
    config["test_images"] = profile.test_images
    config["epochs"] = profile.epochs or experiment.epochs
    config.update((experiment.quick or {}) if profile.name == "quick" else {})
    config.update({k: v for k, v in changes.items() if v is not None})
    return config


def digest(config: dict) -> str:
    """SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def path(
    id: str, profile: str, seed: int, folder: Path | None = None, restarts=(), precision="float32"
) -> Path:
    """Where the record of that run stands: below `folder`, by default the published ones.

    restarts: (epoch, learning rate) of each time it was started again by hand. precision: one of
    PRECISIONS. Runs with either have files of their own, which are in no table.
    """
    if precision not in PRECISIONS:
        raise settings.nearest(precision, PRECISIONS, "precision")
    name = f"{profile}-seed{seed}"
    name += "".join(f"-from{epoch}-at{rate:g}" for epoch, rate in restarts)
    name += f"-{precision}" if precision != "float32" else ""
    return (folder or settings.RECORDS_DIR) / id / f"{name}.json"


def path_of(record: dict, folder: Path | None = None) -> Path:
    """Where that record belongs."""
    run = record["experiment"], record["profile"], record["seed"], folder
    return path(*run, record.get("restarts", ()), record.get("precision", "float32"))


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


def check(record: dict, where: str = "the record") -> None:
    """Raise a CourseError unless `record` is whole, of this schema and of its experiment."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise CourseError(
            f"{where} has schema {found!r}, this course reads schema {SCHEMA}: "
            "record the run again, or use the version of the course that wrote it"
        )
    for field, kind in FIELDS.items():
        if not isinstance(record.get(field), kind):
            raise CourseError(f"{where}: field {field!r} is missing or is not a {kind.__name__}")
    try:
        experiment = experiments.get(record["experiment"])
        profile = settings.profile(record["profile"])
    except CourseError as error:
        raise CourseError(f"{where}: {error}") from error
    config = configuration(experiment, profile)
    if record["config"] != config or record["config_hash"] != digest(config):
        differs = [k for k in config if record["config"].get(k) != config[k]] or ["config_hash"]
        raise CourseError(
            f"{where} was made with another configuration of {experiment.id} "
            f"(differs in {', '.join(differs)}): record the run again"
        )
    epochs, seconds = config["epochs"], record["seconds_per_epoch"]
    stops = any(callback["name"] == "EarlyStopping" for callback in experiment.callbacks)
    if record.get("stopped_early") and stops:
        epochs = len(seconds)
    elif len(seconds) != epochs:
        raise CourseError(f"{where}: seconds_per_epoch is not {epochs} numbers, one an epoch")
    chosen_by = experiment.choose.split()[1:]  # its curve need not be among those of all
    for curve in dict.fromkeys((*CURVES, *chosen_by, *record["history"])):
        values = record["history"].get(curve)
        numbers = isinstance(values, list) and all(type(v) in (int, float) for v in values)
        if not numbers or len(values) != epochs or not 0 < epochs <= config["epochs"]:
            raise CourseError(f"{where}: {curve} is not {epochs} numbers, one an epoch")
    bad = _not_finite(record)
    if bad:
        raise CourseError(f"{where}: {bad} is not a finite number")
    rows = outcome(record["history"], experiment.choose)
    if {k: record.get(k) for k in rows} != rows:
        raise CourseError(f"{where}: {' or '.join(rows)} does not follow from its history")


def _not_finite(value, name: str = "") -> str | None:
    """The name of the first number below `value` that is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        return name
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value, start=1)
    return next((bad for k, v in items if (bad := _not_finite(v, f"{name} {k}".strip()))), None)


def write(record: dict, folder: Path | None = None) -> Path:
    """Check a record and write it below `folder`, by default among the published ones."""
    check(record, "this run's record")
    target = path_of(record, folder)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with settings.whole_file(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


def read(file: Path) -> dict:
    """The record in `file`, checked."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise CourseError(f"{file} is not JSON ({error}): record the run again") from error
    check(record, str(file))
    return record


def load(id, profile: str | None = None, folder: Path | None = None) -> list[dict]:
    """The records of an experiment, by seed. Without `profile`: full ones, else quick ones."""
    id = experiments.get(getattr(id, "id", id)).id
    for name in [profile] if profile else ["full", "quick"]:
        files = path(id, name, 0, folder).parent.glob(f"{name}-seed*.json")
        files = [f for f in files if f.stem.removeprefix(f"{name}-seed").isdigit()]
        if files:
            return sorted((read(f) for f in files), key=lambda r: r["seed"])
    return []


def expected_seconds(experiment, profile) -> tuple[float, bool]:
    """How long a run will take, and whether a record says so: the last one of that profile."""
    with contextlib.suppress(CourseError, IndexError):
        return sum(load(experiment, profile.name)[-1]["seconds_per_epoch"]), True
    config = configuration(experiment, profile)
    classes, images = CLASSES_AND_IMAGES.get(config["data"], (1, 0))  # what is drawn has a budget
    images = config["images"] or (experiment.first_classes or classes) * images
    return 3 * experiment.macs * images * config["epochs"] / GUESS, False


def percent(records: list[dict], which: str = "final") -> list[float]:
    """Test accuracies in percent, one per record."""
    return [round(100 * r[which]["test_accuracy"], 4) for r in records]


def spread(values: list[float]) -> str:
    """`mean ± standard deviation`; one value alone has no deviation."""
    if not values:
        return "not recorded yet"
    deviation = f"\xa0±\xa0{stdev(values):.2f}" if len(values) > 1 else ""  # never two lines
    return f"{mean(values):.2f}{deviation}"


def table(ids=None, profile: str | None = None):
    """A pandas DataFrame with a row per experiment: reported figure beside recorded ones."""
    import pandas as pd

    rows = {}
    for experiment in map(experiments.get, ids or experiments.ids()):
        runs = load(experiment, profile)
        rows[experiment.id] = {
            "last epoch, %": spread(percent(runs)),
            "best epoch, %": spread(percent(runs, "best")),
            "seeds": len(runs),
            "profile": runs[0]["profile"] if runs else "",
            "reported": experiment.reported.text if experiment.reported else "our control",
            "parameters": f"{experiment.parameters.total:,}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def provenance(ids=None):
    """A pandas DataFrame: where and when each experiment was recorded, and how long it took."""
    import pandas as pd

    rows = []
    for experiment in map(experiments.get, ids or experiments.ids()):
        for profile in ("full", "quick"):
            runs = load(experiment, profile)
            hardware = [r["hardware"] for r in runs]
            rows.append(
                {
                    "experiment": experiment.id,
                    "profile": profile,
                    "seeds": ", ".join(str(r["seed"]) for r in runs) or "not recorded yet",
                    "seconds an epoch": ", ".join(
                        f"{mean(r['seconds_per_epoch']):.0f}" for r in runs
                    ),
                    "hardware": _all(
                        ", ".join(h["accelerators"]) or f"{h['processor']}, {h['cores']} cores"
                        for h in hardware
                    ),
                    "backend": _all(f"{r['backend']} {r['versions'][r['backend']]}" for r in runs),
                    "finished": _all(r["finished"][:10] for r in runs),
                }
            )
    return pd.DataFrame(rows).set_index("experiment")


def _all(values) -> str:
    """The different values, each once, in their order."""
    return "; ".join(dict.fromkeys(values))


def compare(a, b, profile: str | None = None) -> str:
    """Does `a` beat `b`? One sentence by a stated rule: Welch's 95 % interval of the difference
    of the mean final test accuracies. One seed on either side decides nothing."""
    runs = [load(x, profile) for x in (a, b)]
    names = [experiments.get(getattr(x, "id", x)).id for x in (a, b)]
    missing = [name for name, r in zip(names, runs, strict=True) if not r]
    if missing:
        return f"{names[0]} against {names[1]}: {missing[0]} is not recorded yet."
    if runs[0][0]["profile"] != runs[1][0]["profile"]:
        return f"{names[0]} against {names[1]}: recorded under different profiles."
    first, second = map(percent, runs)
    gap = mean(first) - mean(second)
    start = f"{names[0]} against {names[1]}: {gap:+.2f} points"
    if min(len(first), len(second)) < 2:
        return f"{start}, undecided (one seed)."
    if stdev(first) == stdev(second) == 0:
        return f"{start}, the same in every run on each side."
    from scipy.stats import t

    errors = [variance(side) / len(side) for side in (first, second)]
    # Welch and Satterthwaite's degrees of freedom: the two sides need not spread alike.
    freedom = sum(errors) ** 2 / sum(
        e**2 / (len(side) - 1) for e, side in zip(errors, (first, second), strict=True)
    )
    low, high = t.interval(0.95, freedom, loc=gap, scale=math.sqrt(sum(errors)))
    verdict = "undecided" if low <= 0 <= high else "better" if gap > 0 else "worse"
    return f"{start}, 95 % interval {low:+.2f} to {high:+.2f}: {verdict}."
