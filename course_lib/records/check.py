"""What no run can have left is refused, with one line that says what and where.

A record that is consistent and plausible passes, whoever wrote it: only running it again could
tell (book/records.md).
"""

import math
import re
import reprlib
from datetime import datetime

from course_lib import experiments, processor, settings
from course_lib.experiments import runs
from course_lib.records.schema import (
    CURVES,
    DATA,
    FIELDS,
    HARDWARE,
    NOT_ASKED,
    OPTIONAL,
    SCHEMA,
    UNKNOWN,
    VALIDATION,
    outcome,
)
from course_lib.settings import CourseError

COMMIT = re.compile("[0-9a-f]{7,40}(-dirty)?|unknown")  # what `settings.commit` says
BACKENDS = ("tensorflow", "jax", "torch")
LARGEST = 1e300  # an integer of JSON may be larger than any float
# Of a cross-entropy beside the loss, which is it and a penalty: two sums in float32.
ROUNDING = 1e-3


def check(record: dict, where: str = "the record") -> None:
    """Raise a CourseError unless `record` is whole, of this schema and of its experiment.

    That its network is the one built today is not looked at, because that needs Keras: `make
    verify` does, and holds records against one another and against the history of the code.
    """
    try:
        fault = next((fault for look in _LOOKS if (fault := look(record))), None)
    except RecursionError:
        fault = "it is nested more deeply than any record"
    if fault:
        raise CourseError(f"{where}: {fault}: record the run again")


# Each says what is wrong, or None. One relies on what those before it have looked at.


def _schema(record) -> str | None:
    found = record.get("schema") if isinstance(record, dict) else type(record).__name__
    if type(found) is not int or found != SCHEMA:
        return (
            f"it has schema {reprlib.repr(found)}, this course reads schema {SCHEMA} (the version "
            "that wrote it reads it, too)"
        )
    extra = set(record) - set(FIELDS) - OPTIONAL
    return f"schema {SCHEMA} has no field {reprlib.repr(min(extra))}" if extra else None


def _types(record) -> str | None:
    for prefix, fields in (("", FIELDS), ("data", DATA), ("hardware", HARDWARE)):
        for field, kind in fields.items():
            name = " ".join((prefix, field)).strip()
            value = (record[prefix] if prefix else record).get(field)
            if value == UNKNOWN and name != "commit":
                if "migrated" in record and name in NOT_ASKED:
                    continue
                return f"field {name!r} is unknown, which a run of today is not to leave"
            if type(value) is not kind:
                return f"field {name!r} is missing or is no {kind.__name__}"
            # What stands in messages, in tables and in other files is one line of text.
            if kind is str and not value.isprintable():
                return f"field {name!r} is no line of text"
        if prefix and (extra := set(record[prefix]) - set(fields)):
            return f"schema {SCHEMA} has no field {prefix} {reprlib.repr(min(extra))}"
    lists = ("instructions", "accelerators")
    texts = [v for k in lists if record["hardware"][k] != UNKNOWN for v in record["hardware"][k]]
    texts += [*record["versions"].values(), record.get("migrated", "")]
    environment = record.get("environment", {})
    if not isinstance(environment, dict) or not set(environment) <= set(processor.ROUNDING):
        return "environment is not of the variables that decide how is rounded"
    texts += environment.values()
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        return "hardware, versions, environment or migrated hold what is no line of text"
    return None


def _circumstances(record) -> str | None:
    backend, versions = record["backend"], record["versions"]
    data, hardware = record["data"], record["hardware"]
    if backend not in BACKENDS:
        return f"no backend {backend!r}"
    named = {"python", "keras", "numpy", backend}
    if set(versions) != named:
        return f"versions are not those of {', '.join(sorted(named))}"
    if UNKNOWN in versions.values() or "" in versions.values():
        return "a version is unknown, which a run of today is not to leave"
    if record["precision"] not in runs.PRECISIONS:
        return f"no precision {record['precision']!r}"
    if not COMMIT.fullmatch(record["commit"]):
        return f"commit {record['commit']!r} is none"
    if not 0 <= record["seed"] < 2**32:
        return f"seed {record['seed']} is not from 0 to 2^32 - 1"
    counts = {"threads": record["threads"], "hardware cores": hardware["cores"]}
    counts |= {f"data {k}": data[k] for k in ("images", "test_images")}
    if low := [name for name, n in counts.items() if n != UNKNOWN and n < 1]:
        return f"{low[0]} is less than 1"
    try:
        finished = datetime.fromisoformat(record["finished"])
        whole = finished.tzinfo and finished.isoformat(timespec="seconds") == record["finished"]
    except ValueError:
        whole = False
    return None if whole else f"finished {record['finished']!r} is no ISO time with its zone"


def _experiment(record) -> str | None:
    try:
        experiment = experiments.get(record["experiment"])
        profile = settings.profile(record["profile"])
    except CourseError as error:
        return str(error)
    config = runs.named(experiment, profile, 0).configuration()
    if record["config"] != config or record["config_hash"] != runs.digest(config):
        differs = [k for k in config if record["config"].get(k) != config[k]] or ["config_hash"]
        return (
            f"it was made with another configuration of {experiment.id} "
            f"(differs in {', '.join(differs)})"
        )
    data = record["data"]
    if data["name"] != config["data"]:
        return f"data {data['name']!r} are not the {config['data']} of its configuration"
    most = {k: config[k] for k in ("images", "test_images") if config[k]}
    if more := [k for k, n in most.items() if data[k] > n]:
        return f"data {more[0]} are more than the {most[more[0]]} of its configuration"
    return None


def _history(record) -> str | None:
    experiment, history = experiments.get(record["experiment"]), record["history"]
    epochs, seconds = record["config"]["epochs"], record["seconds_per_epoch"]
    stops = any(callback["name"] == "EarlyStopping" for callback in experiment.callbacks)
    if record.get("stopped_early") is True and stops:
        epochs = len(seconds)
    elif len(seconds) != epochs:
        return f"seconds_per_epoch is not {epochs} numbers, one an epoch"
    elif "stopped_early" in record:
        return "stopped_early is true where the protocol stops early, else it is left out"
    if not 0 < epochs <= record["config"]["epochs"]:
        return f"{epochs} epochs are none of its protocol of {record['config']['epochs']}"
    held_out = experiment.validation or any(curve in history for curve in VALIDATION)
    curves = (*CURVES, *(VALIDATION if held_out else ()))
    if extra := set(history) - set(curves):
        return f"no curve {reprlib.repr(min(extra))} in a history"
    for curve in curves:
        values = history.get(curve)
        if values == UNKNOWN and "migrated" in record and f"history {curve}" in NOT_ASKED:
            continue
        if not _numbers(values) or len(values) != epochs:
            return f"{curve} is not {epochs} numbers, one an epoch"
        if bad := [k for k, v in enumerate(values, 1) if not abs(v) < LARGEST]:
            return f"history {curve} {bad[0]} is not a finite number"
        if bad := [k for k, v in enumerate(values, 1) if not _in_range(curve, v)]:
            return f"history {curve} {bad[0]} is {values[bad[0] - 1]:g}, which none can be"
    if not _numbers(seconds) or not all(0 < v < LARGEST for v in seconds):
        return "seconds_per_epoch are not all above 0"
    for prefix in ("", "test_", "validation_"):
        loss, part = (history.get(prefix + k, UNKNOWN) for k in ("loss", "cross_entropy"))
        for k, (whole, one) in enumerate(zip(loss, part, strict=False), 1):
            if part != UNKNOWN and one > whole + ROUNDING * (1 + whole):
                return f"history {prefix}cross_entropy {k} is above the loss, which it is a part of"
    return None


def _numbers(values) -> bool:
    return isinstance(values, list) and all(type(v) in (int, float) for v in values)


def _in_range(curve: str, value: float) -> bool:
    return 0 <= value <= (1 if curve.endswith("accuracy") else math.inf)


def _course_of_the_run(record) -> str | None:
    epochs, segments = len(record["history"]["loss"]), record["segments"]
    ends = [0]
    for segment in segments:
        pair = isinstance(segment, list) and [type(v) for v in segment] == [int, int]
        if not pair or segment[0] != ends[-1] + 1 or segment[1] < segment[0]:
            break
        ends.append(segment[1])
    if len(ends) <= len(segments) or ends[-1] != epochs:
        return f"segments are not those of epochs 1 to {epochs}, one after the other"
    restarts = record.get("restarts", [])
    before = 0
    for restart in restarts if isinstance(restarts, list) else [None]:
        pair = isinstance(restart, list) and [type(v) for v in restart] == [int, float]
        # The numbers become a part of the file's name.
        if not pair or not before < restart[0] < epochs or not 0 < restart[1] < math.inf:
            return "restarts are not [epoch, learning rate] of a run that goes on, in their order"
        before = restart[0]
    if restarts == [] and "restarts" in record:
        return "restarts are left out where there are none"
    protocol = experiments.get(record["experiment"])
    schedule = protocol.divided(settings.PROFILES[record["profile"]].divide).schedule
    for epoch, logged in enumerate(record["history"]["learning_rate"]):
        by_hand = [rate for start, rate in restarts if epoch >= start]
        rate = by_hand[-1] if by_hand else schedule(epoch)
        if not math.isclose(logged, rate, rel_tol=1e-6):  # it was in float32
            return f"history learning_rate {epoch + 1} is {logged:g}, the schedule's is {rate:g}"
    return None


def _outcome(record) -> str | None:
    rows = outcome(record["history"], experiments.get(record["experiment"]).choose)
    for name in ("final", "best", "chosen"):
        for k, value in (record[name] if isinstance(record.get(name), dict) else {}).items():
            if isinstance(value, float) and not math.isfinite(value):
                return f"{name} {k} is not a finite number"
    if {k: record[k] for k in ("final", "best", "chosen") if k in record} != rows:
        return f"{' or '.join(rows)} does not follow from its history"
    return None


_LOOKS = (_schema, _types, _circumstances, _experiment, _history, _course_of_the_run, _outcome)
