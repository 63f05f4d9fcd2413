"""What records say: means over seeds, tables, verdicts."""

import contextlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from course_lib import experiments, settings
from course_lib.experiments import runs
from course_lib.records.store import read
from course_lib.settings import CourseError

# Seeds on either side below which a comparison is not decided: two spread by chance alone.
ENOUGH = 3

# Multiply-accumulates a second in training on one core, by the precision that a profile prefers:
# for a first guess of the time, until the experiment has a record of its own.
GUESS = {"float32": 10e9, "mixed_bfloat16": 30e9}
CLASSES_AND_IMAGES = {"cifar10": (10, 5_000), "tiny-imagenet": (200, 450)}  # of each class


def load(id, profile: str | None = None, folder: Path | None = None, precision="") -> list[dict]:
    """The records of an experiment, by seed. Without `profile`: of the one with most seeds, and
    of several the one that goes further. precision: those in one that is not the profile's."""
    id = experiments.get(getattr(id, "id", id)).id
    found = []
    for name in [profile] if profile else settings.RECORDED:
        files = runs.named(id, name, 0).file(folder).parent.glob(f"{name}-seed*.json")
        wanted = re.compile(rf"{name}-seed\d+{f'-{precision}' if precision else ''}")
        files = [f for f in files if wanted.fullmatch(f.stem)]
        if len(files) > len(found):
            found = files
    return sorted((read(f) for f in found), key=lambda r: r["seed"])


def expected_seconds(run: runs.Run) -> tuple[float, bool]:
    """How long a run will take, and whether a record says so: the last one of that profile."""
    with contextlib.suppress(CourseError, IndexError):
        return sum(load(run.experiment, run.profile.name)[-1]["seconds_per_epoch"]), True
    return guessed_seconds(run), False


def guessed_seconds(run: runs.Run) -> float:
    """How long a run might take, by the work of its network."""
    config, experiment = run.configuration(), run.experiment
    classes, images = CLASSES_AND_IMAGES.get(config["data"], (1, 0))  # what is drawn has a budget
    images = config["images"] or (experiment.first_classes or classes) * images
    return 3 * experiment.macs * images * config["epochs"] / GUESS[run.profile.precisions[0]]


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
    """A pandas DataFrame with a row per experiment: the reported figure, and for each profile that
    was recorded (or for the one that is named) the last and the best epoch over its seeds."""
    import pandas as pd

    rows, wanted = {}, list(map(experiments.get, ids or experiments.ids()))
    names = [profile] if profile else list(reversed(settings.RECORDED))
    runs = {(e.id, name): load(e, name) for e in wanted for name in names}
    recorded = [name for name in names if any(runs[e.id, name] for e in wanted)] or names[:1]
    for experiment in wanted:
        row = rows[experiment.id] = {}
        for name in recorded:
            found = runs[experiment.id, name]
            seeds = f" ({len(found)}\xa0seed{'s' * (len(found) > 1)})" if found else ""
            row[f"{name}: last epoch, %"] = spread(percent(found)) + seeds
            row[f"{name}: best epoch, %"] = spread(percent(found, "best"))
        row["reported"] = experiment.reported.text if experiment.reported else "our control"
        row["parameters"] = f"{experiment.parameters.total:,}"
    return pd.DataFrame.from_dict(rows, orient="index")


def provenance(ids=None):
    """A pandas DataFrame: where and when each experiment was recorded, and how long it took; a row
    for each profile that was."""
    import pandas as pd

    rows = []
    for experiment in map(experiments.get, ids or experiments.ids()):
        recorded = [p for p in settings.RECORDED if load(experiment, p)]
        for profile in recorded or settings.RECORDED[:1]:
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
                    "precision, threads": _all(f"{r['precision']}, {r['threads']}" for r in runs),
                    "finished": _all(r["finished"][:10] for r in runs),
                }
            )
    return pd.DataFrame(rows).set_index("experiment")


def _all(values) -> str:
    """The different values, each once, in their order."""
    return "; ".join(dict.fromkeys(values))


@dataclass(frozen=True)
class Comparison:
    """Two experiments under one profile. first, second: final test accuracies in percent, one for
    each seed; low, high: Welch's 95 % interval of the difference of their means, in points; None
    where a side has fewer than three seeds, or neither spreads."""

    names: tuple[str, str]
    profile: str
    first: tuple[float, ...]
    second: tuple[float, ...]
    low: float | None = None
    high: float | None = None

    @property
    def gap(self) -> float:
        """By how many points the first mean is above the second."""
        return mean(self.first) - mean(self.second)

    @property
    def verdict(self) -> str:
        """better, worse, undecided, the same, or what is not recorded yet."""
        if not (self.first and self.second):
            return "not recorded yet"
        if self.low is None:
            enough = min(len(self.first), len(self.second)) >= ENOUGH
            return "the same" if enough and not self.gap else "undecided"
        if self.low <= 0 <= self.high:
            return "undecided"
        return "better" if self.gap > 0 else "worse"

    def __str__(self) -> str:
        start = " against ".join(self.names)
        both = zip(self.names, (self.first, self.second), strict=True)
        if missing := [name for name, values in both if not values]:
            return f"{start}: {missing[0]} is not recorded under {self.profile} yet."
        start = f"{start}, {self.profile}: {self.gap:+.2f} points"
        fewest = min(len(self.first), len(self.second))
        if fewest < ENOUGH:
            return f"{start}, undecided ({'one seed' if fewest == 1 else 'two seeds'})."
        if self.low is None:
            return f"{start}, the same in every run on each side."
        return f"{start}, 95 % interval {self.low:+.2f} to {self.high:+.2f}: {self.verdict}."


def comparison(a, b, profile: str | None = None) -> Comparison:
    """`a` against `b`, in numbers; see `compare`."""
    names = tuple(experiments.get(getattr(x, "id", x)).id for x in (a, b))
    sides = {p: [load(x, p) for x in names] for p in ([profile] if profile else settings.RECORDED)}
    profile = max(sides, key=lambda p: (min(ENOUGH, *map(len, sides[p])), any(sides[p])))
    return _comparison(names, profile, sides[profile])


def in_bfloat16(id: str, profile: str) -> Comparison:
    """The runs of an experiment in mixed bfloat16 against those in float32, in numbers."""
    sides = load(id, profile, precision="mixed_bfloat16"), load(id, profile)
    name = id.replace("/", " ")  # a figure cuts names at the slash
    return _comparison((f"{name} in bfloat16", "float32"), profile, sides)


def _comparison(names: tuple[str, str], profile: str, sides) -> Comparison:
    return between(*names, *map(percent, sides), profile)


def between(a: str, b: str, first, second, profile: str = "live") -> Comparison:
    """`a` against `b` by accuracies in percent, one a seed: runs of your own, the same rule."""
    names, first, second = (a, b), tuple(first), tuple(second)
    spreads = min(len(first), len(second)) >= ENOUGH and (stdev(first) or stdev(second))
    low, high = welch(first, second) if spreads else (None, None)
    return Comparison(names, profile, first, second, low, high)


def compare(a, b, profile: str | None = None) -> str:
    """Does `a` beat `b`? One sentence by a stated rule: Welch's 95 % interval of the difference
    of the mean final test accuracies, where each side has at least three seeds.

    profile: by default the one in which the side with fewer seeds has most.
    """
    return str(comparison(a, b, profile))


def welch(first, second) -> tuple[float, float]:
    """The 95 % interval of the difference of two means whose sides need not spread alike."""
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        # Of a side that never varies, such as a network that guesses from every seed.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        interval = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)
