"""A run record: what a run was, what it saw and what came out, as one JSON file.

`data/records/<experiment>/<profile>-seed<seed>.json`. Figures in the book come from these files.
`schema` says what they hold, `store` writes and reads them, `check` refuses what
no run can have left, `results` makes tables and verdicts of them.
"""

from course_lib.records.check import check
from course_lib.records.results import (
    Comparison,
    between,
    compare,
    comparison,
    expected_seconds,
    guessed_seconds,
    in_bfloat16,
    load,
    percent,
    provenance,
    spread,
    table,
    welch,
)
from course_lib.records.schema import (
    CURVES,
    SCHEMA,
    UNKNOWN,
    VALIDATION,
    Record,
    outcome,
)
from course_lib.records.store import read, write

__all__ = [
    "CURVES",
    "Record",
    "SCHEMA",
    "UNKNOWN",
    "VALIDATION",
    "between",
    "check",
    "Comparison",
    "compare",
    "comparison",
    "expected_seconds",
    "guessed_seconds",
    "in_bfloat16",
    "load",
    "outcome",
    "percent",
    "provenance",
    "read",
    "spread",
    "table",
    "welch",
    "write",
]
