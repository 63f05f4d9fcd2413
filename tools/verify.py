"""Hold the book to its figures: `make verify`.

Records: every file in data/records is a whole record of its experiment, in its place, made by
committed code, and all runs on one data set saw the same images.

Weights: every file in data/weights is of the full run of seed 0 whose record stands beside it, and
all files together are small enough for a repository.

Numbers: in the book's Markdown, every result, count and comparison stands in a sentence that cites
its source or is computed in a comment of its paragraph. `prose` says how, and what it cannot see.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from prose import check_book

from course_lib import checkpoints, records, settings
from course_lib.settings import CourseError

ALL_WEIGHTS = 30_000_000  # bytes


def check_records(folder: Path) -> tuple[int, list[str]]:
    """Number of records, and their faults."""
    faults, seen = [], {}
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    for file in files:
        name = file.relative_to(folder)
        try:
            record = records.read(file)
        except CourseError as error:
            faults.append(str(error))
            continue
        place = records.path_of(record, folder)
        if file != place:
            faults.append(f"{name}: belongs in {place.relative_to(folder)}")
        if record["profile"] == "ci":
            faults.append(f"{name}: a smoke test on drawn images is no record")
        if not re.fullmatch(r"[0-9a-f]{7,40}", record["commit"]):
            faults.append(f"{name}: not made by committed code ({record['commit']})")
        data = record["data"]
        same = (data["name"], data["images"], data["test_images"])
        if seen.setdefault(same, data["fingerprint"]) != data["fingerprint"]:
            faults.append(f"{name}: other images of {data['name']} than the records before it")
    return len(files), faults


def check_weights(folder: Path) -> tuple[int, list[str]]:
    """Number of files with weights, and their faults."""
    files, faults = sorted(folder.rglob("*.safetensors")), []
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix()
        record = records.path(name, "full", 0)
        known = record.exists() and json.loads(record.read_text())["config_hash"]
        if not known or checkpoints.weights_hash(file) != known:
            faults.append(f"weights of {name}: not those of its full run of seed 0")
    sizes = [file.stat().st_size for file in files]
    if sum(sizes) > ALL_WEIGHTS:
        faults.append(f"weights: {sum(sizes):,} bytes are more than {ALL_WEIGHTS:,}")
    return len(files), faults


def guarded(check: Callable, folder: Path) -> tuple[int, list[str]]:
    """What the check finds; should it break, that is a fault and hides no other check's."""
    try:
        return check(folder)
    except Exception as error:
        return 0, [f"{check.__name__} broke: {type(error).__name__}: {error}"]


def main() -> int:
    count, faults = guarded(check_records, settings.RECORDS_DIR)
    files, unknown = guarded(check_weights, settings.WEIGHTS_DIR)
    pages, wrong = guarded(check_book, settings.ROOT / "book")
    faults += unknown + wrong
    for fault in faults:
        print(fault, file=sys.stderr)
    what = f"{count} records, {files} files of weights and the numbers of {pages} pages"
    print(f"{what}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
