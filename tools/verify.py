"""Hold the book to its figures: `make verify`.

Records: every file in data/records is a whole record of its experiment, in its place, made by
committed code with the network that is built today; all runs on one data set saw the same images,
no two runs left one history, and a result lies where the other seeds let expect it. A consistent
and plausible edit passes: it takes the run to find it, `make verify RUNS=folder`.

Weights: every file in data/weights is of the full run of seed 0, or of the tenth of one, whose
record stands beside it, and all files are small enough for a repository.

Numbers: in the book's Markdown, every result, count and comparison stands in a sentence that cites
its source or is computed in a comment of its paragraph. `prose` says how, and what it cannot see.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from evidence import check_records, check_weights
from prose import check_book
from reruns import check_reruns

from course_lib import settings


def guarded(check: Callable, folder: Path) -> tuple[int, list[str]]:
    """What the check finds; should it break, that is a fault and hides no other check's."""
    try:
        return check(folder)
    except Exception as error:
        return 0, [f"{check.__name__} broke: {type(error).__name__}: {error}"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold the book to its figures.")
    parser.add_argument("--runs", type=Path, help="local runs, to hold against published ones")
    if (folder := parser.parse_args().runs) is not None:
        if not folder.is_dir():
            parser.error(f"no folder {folder}: name that of local runs, data/runs")
        return 1 if check_reruns(folder) else 0
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
