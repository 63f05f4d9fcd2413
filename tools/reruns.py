"""`make verify RUNS=folder`: local runs against the published ones.

On the same versions, processor, threads and images a run of the same code agrees bit for bit.
Elsewhere rounding differs, and training amplifies it: then the last test accuracy must lie where
the published seeds let expect it, if there are enough of them to say so.
"""

from pathlib import Path

import evidence

from course_lib import records
from course_lib.experiments import runs
from course_lib.settings import CourseError


def check_reruns(folder: Path) -> int:
    """Print a line per record below `folder`; how many of them speak against a published one."""
    against = 0
    files = sorted(folder.rglob("*.json"))
    for file in files:
        try:
            agrees, says = verdict(records.read(file))
        except CourseError as error:
            agrees, says = False, str(error)
        against += not agrees
        print(f"{file.relative_to(folder)}: {says}")
    print(f"{len(files)} runs: {against} against what is published")
    return against


def verdict(run: dict) -> tuple[bool, str]:
    """Does that run agree with the published ones, as far as they say? And how."""
    id, profile = run["experiment"], run["profile"]
    if run["network"] != evidence.network(id):
        return False, "of another network than is built today"
    if profile == "ci" or "restarts" in run:
        return True, "not compared, such a run is not published"
    files = sorted(runs.of(run).file().parent.glob(f"{profile}-seed*.json"))
    published = [r for r in map(records.read, files) if evidence.kind(r) == evidence.kind(run)]
    twin = next((r for r in published if r["seed"] == run["seed"]), None)
    why = differs(run, twin) if twin else ["no published run of its seed"]
    if not why:
        apart = [c for c, values in run["history"].items() if values != twin["history"].get(c)]
        if apart:
            return False, f"should be the published run, and differs in {', '.join(apart)}"
        return True, "bit for bit the published run"
    (value,) = records.percent([run])
    limits = evidence.expected(run, published)
    why = f"{len(published)} published seeds; not bit for bit: {', '.join(why)}"
    if limits is None:
        return True, f"{value:.2f} %, of which the published seeds say too little ({why})"
    inside = limits[0] <= value <= limits[1]
    where = f"{'within' if inside else 'outside'} {limits[0]:.2f} to {limits[1]:.2f} %"
    return inside, f"{value:.2f} % is {where} ({why})"


def differs(a: dict, b: dict) -> list[str]:
    """In what that decides the last digits two runs differ, or may: one of them does not say."""

    def said(record: dict) -> dict:
        hardware, data = record["hardware"], record["data"]
        return {
            **{k: record[k] for k in ("backend", "versions", "precision", "threads")},
            **{k: hardware[k] for k in ("processor", "instructions", "accelerators")},
            "environment": record.get("environment", {}),
            "order of the images": data["order"],
            "network": record["network"],
        }

    ours, theirs = said(a), said(b)
    odd = [k for k, v in ours.items() if v != theirs[k] or v == records.UNKNOWN]
    return odd if same_code(a["commit"], b["commit"]) else [*odd, "code"]


def same_code(*commits: str) -> bool:
    """Is the library the same at these commits?"""
    if not all(map(evidence.COMMIT.fullmatch, commits)):
        return False
    trees = {evidence.git("rev-parse", f"{commit}:course_lib") for commit in commits}
    return len(set(commits)) == 1 or (len(trees) == 1 and None not in trees)
