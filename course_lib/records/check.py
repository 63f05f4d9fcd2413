"""What no run can have left is refused, with one line that says what and where.

A record that is consistent and plausible passes, whoever wrote it: only running it again could
tell (book/records.md).
"""

import math

from course_lib import experiments, settings
from course_lib.records.schema import (
    CURVES,
    DATA,
    FIELDS,
    HARDWARE,
    SCHEMA,
    UNKNOWN,
    configuration,
    digest,
    outcome,
)
from course_lib.settings import CourseError


def check(record: dict, where: str = "the record") -> None:
    """Raise a CourseError unless `record` is whole, of this schema and of its experiment.

    That its network is the one built today is not looked at, because that needs Keras: `make
    verify` does.
    """
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise CourseError(
            f"{where} has schema {found!r}, this course reads schema {SCHEMA}: "
            "record the run again, or use the version of the course that wrote it"
        )
    for prefix, fields in (("", FIELDS), ("data", DATA), ("hardware", HARDWARE)):
        for field, kind in fields.items():
            value = record.get(field) if not prefix else record[prefix].get(field)
            if not isinstance(value, kind):
                name = " ".join((prefix, field)).strip()
                kinds = kind if isinstance(kind, tuple) else (kind,)
                wanted = " or ".join(k.__name__ for k in kinds)
                raise CourseError(f"{where}: field {name!r} is missing or is not a {wanted}")
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
        if values == UNKNOWN and curve.endswith("cross_entropy") and "migrated" in record:
            continue
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
