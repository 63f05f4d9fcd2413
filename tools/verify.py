"""Hold the book to its figures: `make verify`.

Records: every file in data/records is a whole record of its experiment, in its place, made by
committed code, and all runs on one data set saw the same images.

Weights: every file in data/weights is of the full run of seed 0 whose record stands beside it, and
all files together are small enough for a repository.

Numbers: in the book's Markdown, a number with %, points, loss or parameters must stand in a
paragraph that cites its source, or be computed in a comment of the same page,

    <!-- 2.303 = log(10) -->

whose right side gives the number, to the digits stated. It may use mathematics and the records:
`last("squeezenet/bn", "quick")` and `best(...)` are mean test accuracies in percent, `reported(id)`
is the source's, and `parameters(id)` and `macs(id)` are counts.
"""

import json
import math
import re
import sys
from pathlib import Path
from statistics import mean

from course_lib import checkpoints, experiments, records, settings
from course_lib.settings import CourseError

ALL_WEIGHTS = 30_000_000  # bytes
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


def main() -> int:
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
