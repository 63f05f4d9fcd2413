"""The reader as schedule: stop, lower the rate or go on, along runs that were recorded."""

import html

import traitlets

from course_lib.explorers.kit import Explorer, script
from course_lib.settings import CourseError

# Shown while one drives: what training lessens less its penalty, and the same on validation.
CURVES = ("cross_entropy", "validation_cross_entropy", "accuracy", "validation_accuracy")


class DriveExplorer(Explorer):
    """Read a curve, stop, lower the rate tenfold or go on; every curve was recorded.

    runs: one a schedule, (drops, records): the epochs after which the rate fell tenfold, and the
    records of its seeds, whose first is drawn. Runs that share their first drops share the curve
    up to the next; a CourseError says where they do not, or where a curve is missing. settings:
    `drops`, what the reader has done so far, and `at`, the completed epochs; `rate`, the first one.
    """

    _esm = script(__file__)

    runs = traitlets.List(traitlets.Dict(), minlen=1).tag(sync=True)
    rate = traitlets.Float(1e-3, min=1e-9).tag(sync=True)
    drops = traitlets.List(traitlets.Int()).tag(sync=True)
    at = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, runs, **settings):
        found = [_run(tuple(drops), records) for drops, records in runs]
        for one in found:
            for other in found:
                _same_start(one, other)
        super().__init__(runs=found, **settings)

    def fallback(self) -> tuple[str, str]:
        text, page = super().fallback()
        told = [
            f"{run['source']}: rate lowered after epoch "
            f"{', '.join(map(str, run['drops'])) or 'none'}; test accuracy "
            f"{', '.join(f'{value:.1f}' for value in run['finals'])} %"
            for run in self.runs
        ]
        items = "".join(f"<li>{html.escape(line)}</li>" for line in told)
        return "\n".join([text, *told]), f"{page}<ul>{items}</ul>"


def _run(drops, records) -> dict:
    """A recorded schedule as the page holds it: its first seed's curves, and how each seed ends."""
    history = records[0]["history"] if records else {}
    if any(not history.get(c) or isinstance(history[c], str) for c in CURVES):
        raise CourseError(f"DriveExplorer needs {', '.join(CURVES)} for drops {drops}")
    scale = {c: 100 if "accuracy" in c else 1 for c in CURVES}
    curves = {c: [float(f"{scale[c] * v:.4g}") for v in history[c]] for c in CURVES}
    first = records[0]
    source = f"{first['experiment']}, {first['profile']}, seed {first['seed']}"
    finals = [round(100 * record["final"]["test_accuracy"], 2) for record in records]
    return {**curves, "drops": list(drops), "source": source, "finals": finals}


def _same_start(one: dict, other: dict) -> None:
    """CourseError unless two runs are one up to where their schedules part."""
    first = min({*one["drops"]} ^ {*other["drops"]}, default=0)
    for curve in CURVES:
        pairs = zip(one[curve][:first], other[curve][:first], strict=True)
        if any(abs(a - b) > 0.02 * abs(a) for a, b in pairs):
            raise CourseError(
                f"{one['source']} and {other['source']} differ before their schedules do"
            )
