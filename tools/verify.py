"""Hold the book to its figures: `make verify`.

Records: every file in data/records is a whole record of its experiment, in its place, made by
committed code with the network that is built today; all runs on one data set saw the same images,
no two runs left one history, and a result lies where the other seeds let expect it. A consistent
and plausible edit passes: it takes the run to find it, `make verify RUNS=folder`.

Weights: every file in data/weights is of the full run of seed 0, or of the tenth of one, whose
record stands beside it, and all files are small enough for a repository.

Numbers: in the book's Markdown, a number with %, points, loss or parameters must stand in a
paragraph that cites its source, or be computed in a comment of the same page,

    <!-- 2.303 = log(10) -->

whose right side gives the number, to the digits stated. It may use mathematics and the records:
`last("squeezenet/bn", "quick")` and `best(...)` are mean test accuracies in percent, `reported(id)`
is the source's, and `parameters(id)` and `macs(id)` are counts.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path
from statistics import mean

from evidence import check_records, check_weights
from reruns import check_reruns

from course_lib import experiments, records, settings
from course_lib.settings import CourseError

NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
# What a reader would take for a result or a count.
STATED = re.compile(
    # "95 % interval" names a rule, not a result.
    rf"(?P<before>{NUMBER})\s*(?:%(?! interval)|percent\b|points?\b|parameters\b)"
    rf"|\bloss(?:es)?(?: \w+){{0,2}} (?P<after>{NUMBER})"
)
CITED = re.compile(r"\bS[1-5]\b|\(\w[^()]*\b(?:19|20)\d\d|arXiv|\{cite")
DERIVED = re.compile(rf"<!--\s*({NUMBER})\s*=\s*(.+?)\s*-->")


def _accuracy(which: str):
    def accuracy(id: str, profile: str) -> float:
        runs = records.load(id, profile)
        if not runs:
            raise CourseError(f"{id} is not recorded under {profile}")
        return mean(records.percent(runs, which))

    return accuracy


NAMES = {
    **{name: getattr(math, name) for name in ("log", "sqrt", "exp", "pi")},
    "last": _accuracy("final"),
    "best": _accuracy("best"),
    "reported": lambda id: experiments.get(id).reported.accuracy,
    "parameters": lambda id: experiments.get(id).parameters.total,
    "macs": lambda id: experiments.get(id).macs,
}


def rounds_to(value: float, stated: str) -> bool:
    """Is `stated`, like 729,144 or 2.303, what `value` is to that many digits?"""
    plain = stated.replace(",", "")
    digits = len(plain.partition(".")[2])
    return abs(value - float(plain)) <= 0.5 * 10**-digits + 1e-9


def faults_of(text: str) -> list[str]:
    """What is wrong with the numbers of one Markdown text."""
    faults, derived = [], set()
    for stated, expression in DERIVED.findall(text):
        derived.add(stated)
        try:
            value = eval(expression, {"__builtins__": {}}, NAMES)
        except Exception as error:  # whatever an author may have mistyped
            faults.append(f"{stated} = {expression}: {error}")
            continue
        if not rounds_to(value, stated):
            faults.append(f"{stated} = {expression}: it is {value:.6g}")
    prose = re.sub(r"```.*?```|<!--.*?-->|`[^`\n]*`", "", text, flags=re.S)
    for paragraph in re.split(r"\n\s*\n", prose):
        if CITED.search(paragraph):
            continue
        for match in STATED.finditer(paragraph):
            number = match["before"] or match["after"]
            if number not in derived:
                line = " ".join(paragraph[max(0, match.start() - 30) : match.end() + 20].split())
                faults.append(f"{number} has no source: …{line}…")
    return faults


def texts(page: Path) -> list[str]:
    """The page's Markdown as one text, so that a comment counts for the whole page."""
    if page.suffix == ".md":
        return [page.read_text(encoding="utf-8")]
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return ["\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")]


def check_book(folder: Path) -> tuple[int, list[str]]:
    """Number of pages, and their faults."""
    pages = sorted([*folder.glob("*.md"), *folder.glob("*.ipynb")])
    return len(pages), [
        f"{page.name}: {fault}"
        for page in pages
        for text in texts(page)
        for fault in faults_of(text)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold the book to its figures.")
    parser.add_argument("--runs", type=Path, help="local runs, to hold against published ones")
    if (folder := parser.parse_args().runs) is not None:
        if not folder.is_dir():
            parser.error(f"no folder {folder}: name that of local runs, data/runs")
        return 1 if check_reruns(folder) else 0
    count, faults = check_records(settings.RECORDS_DIR)
    files, unknown = check_weights(settings.WEIGHTS_DIR)
    pages, wrong = check_book(settings.ROOT / "book")
    faults += unknown + wrong
    for fault in faults:
        print(fault, file=sys.stderr)
    what = f"{count} records, {files} files of weights and the numbers of {pages} pages"
    print(f"{what}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
