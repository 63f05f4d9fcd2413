"""What no run can have left is refused, with one line that says what and where.

A record that is consistent and plausible passes, whoever wrote it: only running it again could
tell (book/records.md).
"""

import math
import reprlib
from datetime import datetime

from course_lib import experiments, processor, settings
from course_lib.experiments import runs
from course_lib.records.schema import (
    CURVES,
    NOT_ASKED,
    SCHEMA,
    UNKNOWN,
    VALIDATION,
    Record,
    outcome,
)
from course_lib.settings import CourseError

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
    return None


def _types(record) -> str | None:
    try:
        settings.typed(record, Record)
    except CourseError as error:
        return str(error)
    parts = ("data", "hardware", "versions")
    places = record | {f"{part} {k}": v for part in parts for k, v in record[part].items()}
    unknown = {k for k, v in places.items() if v == UNKNOWN} - {"commit"}
    unknown -= NOT_ASKED if "migrated" in record else set()
    if unknown:
        return f"field {min(unknown)!r} is unknown, which a run of today is not to leave"
    return None


def _circumstances(record) -> str | None:
    named = {"python", "keras", "numpy", record["backend"]}
    if set(record["versions"]) != named:
        return f"versions are not those of {', '.join(sorted(named))}"
    if not set(record.get("environment", {})) <= set(processor.ROUNDING):
        return "environment is not of the variables that decide how is rounded"
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
    for curve in (*CURVES, *(VALIDATION if held_out else ())):
        values = history.get(curve)
        if values == UNKNOWN and "migrated" in record and f"history {curve}" in NOT_ASKED:
            continue
        if not isinstance(values, list) or len(values) != epochs:
            return f"{curve} is not {epochs} numbers, one an epoch"
        if bad := [k for k, v in enumerate(values, 1) if not abs(v) < math.inf]:
            return f"history {curve} {bad[0]} is not a finite number"
        if bad := [k for k, v in enumerate(values, 1) if not _in_range(curve, v)]:
            return f"history {curve} {bad[0]} is {values[bad[0] - 1]:g}, which none can be"
    if not all(0 < v < math.inf for v in seconds):
        return "seconds_per_epoch are not all above 0"
    for prefix in ("", "test_", "validation_"):
        loss, part = (history.get(prefix + k, UNKNOWN) for k in ("loss", "cross_entropy"))
        for k, (whole, one) in enumerate(zip(loss, part, strict=False), 1):
            if part != UNKNOWN and one > whole + ROUNDING * (1 + whole):
                return f"history {prefix}cross_entropy {k} is above the loss, which it is a part of"
    return None


def _in_range(curve: str, value: float) -> bool:
    return 0 <= value <= (1 if curve.endswith("accuracy") else math.inf)


def _course_of_the_run(record) -> str | None:
    epochs, segments = len(record["history"]["loss"]), record["segments"]
    ends = [0]
    for segment in segments:
        if segment[0] != ends[-1] + 1 or segment[1] < segment[0]:
            break
        ends.append(segment[1])
    if len(ends) <= len(segments) or ends[-1] != epochs:
        return f"segments are not those of epochs 1 to {epochs}, one after the other"
    restarts = record.get("restarts", [])
    before = 0
    for restart in restarts:
        if not before < restart[0] < epochs or not 0 < restart[1] < math.inf:
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
    if {k: record[k] for k in ("final", "best", "chosen") if k in record} != rows:
        return f"{' or '.join(rows)} does not follow from its history"
    return None


_LOOKS = (_schema, _types, _circumstances, _experiment, _history, _course_of_the_run, _outcome)
