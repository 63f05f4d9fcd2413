"""What `make verify` holds records and weights against: one another, the networks of today, and the
history of the code. What a record must be by itself is course_lib/records/check.py.

None of it can tell a record that somebody has edited with care, so that it is consistent and
plausible, from one that a run has left: only the run can, `make verify RUNS=folder`.
"""

import json
import math
import subprocess
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import mean, stdev

from course_lib import experiments, records, settings
from course_lib.engine import checkpoints
from course_lib.engine.recording import COMMIT, MOST_WEIGHTS
from course_lib.experiments import runs
from course_lib.settings import CourseError

ALL_WEIGHTS = 30_000_000  # bytes
WITHIN = 0.999
ENOUGH = 3  # other seeds, to say where one more is to be expected
# A network that guesses has this many times the accuracy of guessing at most.
GUESSING = 1.05


def check_records(folder: Path) -> tuple[int, list[str]]:
    """Number of files below `folder`, and their faults."""
    found, faults = {}, []
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            record = records.read(file)
            faults += [f"{name}: {fault}" for fault in out_of_place(record, file, folder)]
            found[name] = record
        except CourseError as error:
            faults.append(str(error))
        except Exception as error:  # a fault of ours, which is not to hide those of other files
            faults.append(f"{name}: cannot be judged ({type(error).__name__}: {error})")
    for look in (networks, commits, images, twins, spreads):
        faults += look(found)
    return len(files), faults


def out_of_place(record: dict, file: Path, folder: Path) -> list[str]:
    """Why that record does not belong among the published ones, or not there."""
    faults, place = [], runs.of(record).file(folder)
    if file != place:
        faults.append(f"belongs in {place.relative_to(folder)}")
    if record["profile"] == "ci":
        faults.append("a smoke test on drawn images is no record")
    if "restarts" in record:
        faults.append("was started again by hand, which is not published")
    if not COMMIT.fullmatch(record["commit"]):
        faults.append(f"not made by committed code ({record['commit']})")
    if datetime.fromisoformat(record["finished"]) > datetime.now(UTC) + timedelta(days=1):
        faults.append(f"finished in the future ({record['finished']}), or this clock is wrong")
    return faults


@cache
def network(id: str) -> str:
    """The hash of the experiment's network as it is built today, or why there is none."""
    try:
        from course_lib.models import graph

        return graph.of(experiments.get(id))
    except Exception as error:  # whatever a builder may raise
        return f"none: {type(error).__name__}: {error}"


def networks(found: dict[str, dict]) -> list[str]:
    """Records of another network than the one that their experiment builds today."""
    return [
        f"{name}: was made with the network {record['network'][:12]}…, and that of "
        f"{record['experiment']} today is {network(record['experiment'])[:12]}…"
        for name, record in found.items()
        if record["network"] != network(record["experiment"])
    ]


def git(*words: str) -> str | None:
    """What git says in the course's folder; None where it cannot."""
    command = ["git", "-C", str(settings.ROOT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def history() -> list[str] | None:
    """All commits up to this one; None where this is no clone, or one without its history."""
    clone = git("rev-parse", "--show-toplevel", "--is-shallow-repository")
    if clone is None or clone.splitlines() != [str(settings.ROOT), "false"]:
        return None
    return (git("rev-list", "HEAD") or "").split()


def commits(found: dict[str, dict]) -> list[str]:
    """Records of a commit that nobody can check out: it is not in the history of this one."""
    known = history()
    if known is None:
        print("commits of records: not checked, this is no clone with its history")
        return []
    starts = {r["commit"].removesuffix("-dirty") for r in found.values()} - {"unknown"}
    lost = {start for start in starts if not any(full.startswith(start) for full in known)}
    return [
        f"{name}: its commit {record['commit']} is not in the history of this one"
        for name, record in found.items()
        if record["commit"] in lost
    ]


def images(found: dict[str, dict]) -> list[str]:
    """Records that saw other images of a data set than those before them."""
    faults, seen = [], {}
    for name, record in found.items():
        data = record["data"]
        seen_as = data["name"], data["images"], data["test_images"]
        for field, key in (("content", data["name"]), ("fingerprint", seen_as)):
            value = data[field]
            if value != records.UNKNOWN and seen.setdefault((field, key), value) != value:
                faults.append(
                    f"{name}: other images of {data['name']} than the records before it ({field})"
                )
    return faults


def twins(found: dict[str, dict]) -> list[str]:
    """Records with one and the same curve of the loss that are not of the same computation.

    Runs that have died share their accuracies, and not the loss. Two experiments that differ only
    later than the profile goes, in their schedule or in what they choose, honestly agree. A curve
    that stands still is that of a network without a gradient and says nothing.
    """
    faults, seen = [], {}
    late = {"schedule", "protocol_epochs", "callbacks", "choose"}
    for name, record in found.items():
        config = {k: v for k, v in record["config"].items() if k not in late}
        config["learning rates"] = record["history"]["learning_rate"]
        config |= {k: record[k] for k in ("seed", "network", "precision")}
        computed = json.dumps(config, sort_keys=True)
        for curve in ("loss", "test_loss"):
            key = curve, *record["history"][curve]
            if len(key) > 2 and len(set(key)) == 2:
                continue
            other, same = seen.setdefault(key, (name, computed))
            if same != computed:
                faults.append(f"{name}: has the {curve} of {other} in every epoch")
                break
    return faults


def kind(record: dict) -> tuple[str, str, str]:
    """What the seeds of one kind have in common: experiment, profile, and a precision that is not
    the profile's."""
    own = settings.PROFILES[record["profile"]].precisions
    precision = "" if record["precision"] in own else record["precision"]
    return record["experiment"], record["profile"], precision


def guesses(record: dict) -> bool:
    """Has its network learned nothing, or died?"""
    classes = record["config"]["arguments"]["classes"]
    return record["final"]["test_accuracy"] <= GUESSING / classes


def expected(record: dict, others: list[dict]) -> tuple[float, float] | None:
    """Where, by other seeds, the record's last test accuracy lies with 99.9 %, in percent; None
    where they do not say.

    The prediction interval of a normal distribution, by Student's t. It finds what is off by far,
    after three other seeds by some thirty of their deviations, after five by seven. It says
    nothing of what is off by less, and little of an experiment whose seeds spread widely. Many a
    network without batch normalisation dies under some seeds and learns under others, which is no
    normal distribution: there only those that have learned are held against one another.
    """
    from scipy.stats import t

    values = records.percent([r for r in others if not guesses(r)])
    if len(values) < ENOUGH or (guesses(record) and len(values) < len(others)):
        return None
    freedom = len(values) - 1
    half = t.ppf((1 + WITHIN) / 2, freedom) * stdev(values) * math.sqrt(1 + 1 / len(values))
    return mean(values) - half, mean(values) + half


def spreads(found: dict[str, dict]) -> list[str]:
    """Records whose result lies outside what the other seeds of their experiment let expect."""
    faults, kinds = [], defaultdict(dict)
    for name, record in found.items():
        kinds[kind(record)][name] = record
    for seeds in kinds.values():
        for name, record in seeds.items():
            limits = expected(record, [other for k, other in seeds.items() if k != name])
            (value,) = records.percent([record])
            if limits and not limits[0] <= value <= limits[1]:
                faults.append(
                    f"{name}: {value:.2f} % is outside {limits[0]:.2f} to {limits[1]:.2f} %, where "
                    "the other seeds let expect it"
                )
    return faults


def check_weights(folder: Path) -> tuple[int, list[str]]:
    """Number of files with weights, and their faults."""
    files = sorted(folder.rglob("*.safetensors"))
    faults = [f"weights of {f.relative_to(folder)}: {w}" for f in files if (w := wrong(f, folder))]
    sizes = [file.stat().st_size for file in files]
    if sum(sizes) > ALL_WEIGHTS:
        faults.append(f"weights: {sum(sizes):,} bytes are more than {ALL_WEIGHTS:,}")
    return len(files), faults


def wrong(file: Path, folder: Path) -> str | None:
    """Why that file is not the weights of its experiment's published run of seed 0."""
    id = file.relative_to(folder).with_suffix("").as_posix()
    source = checkpoints.weights_source(file)
    profile = source.get("profile")
    if file.stat().st_size > MOST_WEIGHTS:
        return f"{file.stat().st_size:,} bytes are more than {MOST_WEIGHTS:,.0f}"
    if profile not in ("full", "tenth"):
        return "they are of no full run and of no tenth of one"
    if profile == "tenth" and runs.named(id, "full", 0).file().exists():
        return "they are of a tenth, and there is a full run"
    try:
        record = records.read(runs.named(id, profile, 0).file())
    except CourseError as error:
        return f"the run that they name has no record ({error})"
    differs = [k for k in ("config_hash", "network") if source.get(k) != record[k]]
    return f"not those of its run of seed 0 ({', '.join(differs)})" if differs else None
