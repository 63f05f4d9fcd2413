"""Records on disk: written whole or not at all, checked whenever they are read."""

import json
from pathlib import Path

from course_lib import files
from course_lib.experiments import runs
from course_lib.records.check import check
from course_lib.settings import CourseError


def write(record: dict, folder: Path | None = None) -> Path:
    """Check a record and write it below `folder`, by default among the published ones."""
    check(record, "this run's record")
    target = runs.of(record).file(folder)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with files.whole_file(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


def read(file: Path) -> dict:
    """The record in `file`, checked."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CourseError(f"{file} is not JSON ({error}): record the run again") from error
    check(record, str(file))
    return record
